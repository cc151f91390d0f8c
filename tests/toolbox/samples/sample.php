<html><?php
namespace App\Shapes;
use App\Base;
const LIMIT = 3;
interface Draw { const SIZE = 1; public function draw(Canvas $c): void; }
trait Named { private string $name = ''; }
abstract class Shape extends Base implements Draw {
    use Named;
    public static int $count = 0, $other;
    public function __construct(private int $corners) { $this->corners = LIMIT; }
    public function draw(Canvas $c): void { $c->line($this->name, self::SIZE); helper(); }
}
enum Colour: string { case Red = 'r'; }
function helper() { return fn($x) => $x; }
?></html>
