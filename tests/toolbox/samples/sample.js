import fs, { read as get } from "fs";
export const LIMIT = 3;
const run = async (a, b) => {
  function inner() {}
  return inner(a, b, `x ${LIMIT}`);
};
export default class Shape extends Base {
  #count = 0;
  static of = 1;
  constructor(x) { super(x); this.x = x; }
  get area() { return this.#count; }
  async draw() {}
}
function* numbers() { yield LIMIT; }
Shape.prototype.old = function (a) { return a; };
module.exports = { run, go: () => run(1, 2), LIMIT };
let later = class Named {};
