package shapes

import "fmt"

const Limit = 3
const (
	A = iota
	B
)

var count, other int
var (
	first  = 1
	second = 2
)

func (s *Shape[T]) Area(x int) (int, error) {
	f := func() int { return Limit }
	return f(), nil
}

type Shape[T any] struct {
	corners int
	Base
}
type Drawer interface {
	Draw(c Canvas) error
}
type Alias = Shape[int]
type ID int

func New() *Shape[int] { fmt.Println(count); return nil }
func (o Other) Far() {}
