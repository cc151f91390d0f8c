export interface Point<T> { x: number; move(by: T): void }
type Pair = [Point<number>, Point<number>];
enum Colour { Red, Green }
declare function outside(a: string): void;
namespace Tools { export function use(p: Point<string>): Pair { return p.x as any; } }
export abstract class Shape implements Point<number> {
  private corners = 0;
  constructor(readonly x: number) {}
  abstract area(): number;
  move(by: number): void { outside("x"); }
}
export const make = (x: number): Shape => null!;
export const LIMIT = 3, OTHER = 4;
