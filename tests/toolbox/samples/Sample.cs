using System;
namespace Shapes;
[Serializable]
public abstract class Shape<T> : Base, IDraw where T : new() {
    private const int Limit = 3;
    public int Corners { get; set; } = 3;
    public Shape(int corners) : base(corners) { Corners = corners; }
    public override string ToString() => $"{Corners} {Limit}";
    public static bool operator ==(Shape<T> a, Shape<T> b) { int Local(int x) { return x; } return true; }
    public event EventHandler Changed;
}
public interface IDraw { void Draw(Canvas c); }
public enum Colour { Red, Green = 2 }
public struct Point { public int X, Y; }
public record Pair(int A, int B);
public delegate int Call(string s);
