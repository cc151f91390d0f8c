#include <vector>
namespace shapes {
template <typename T> class Shape : public Base<T> {
 public:
  Shape(int corners);
  ~Shape() {}
  virtual int area() const;
  bool operator==(const Shape &o) const { return corners_ == o.corners_; }
  enum class Colour { Red, Green };
 private:
  int corners_ = 0;
  std::vector<int> *list;
};
using Short = int;
}  // namespace shapes
class Forward;
template <typename T> shapes::Shape<T>::Shape(int corners) : corners_(corners) {}
int shapes::Shape<int>::area() const { return LIMIT; }
Forward &Forward::ref() { return *this; }
auto make(int n) -> int { auto f = [](int x) { return x; }; return f(n); }
