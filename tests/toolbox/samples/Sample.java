package shapes;
import java.util.List;
@Deprecated
public class Shape<T> extends Base implements Draw {
    private static final int LIMIT = 3;
    int a = 1, b;
    public Shape(int a) { this.a = a; }
    @Override
    public <R> List<R> area(T t) throws Exception { return other.call(LIMIT); }
    enum Colour { RED, GREEN { void x() {} } }
    interface Inner { int SIZE = 1; void go(); }
    record Pair(int x, int y) { Pair { check(x); } }
    @interface Mark { String value(); }
}
