use std::fmt;
pub const LIMIT: usize = 3;
static mut COUNT: i32 = 0;
pub struct Shape<'a, T> where T: Copy { pub corners: usize, name: &'a T }
enum Colour { Red, Green(u8) }
trait Draw { fn draw(&self); fn twice(&self) { self.draw() } }
impl<'a, T: Copy> Draw for Shape<'a, T> {
    fn draw(&self) { println!("{}", self.corners); helper::<T>() }
}
impl fmt::Display for Colour { fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result { todo!() } }
mod inner { pub async fn go() {} type Short = u8; }
macro_rules! twice { ($x:expr) => { $x; $x } }
union Bits { a: u8, b: i8 }
