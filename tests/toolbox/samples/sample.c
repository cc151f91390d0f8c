#include <stdio.h>
#define LIMIT 3
#define MAX(a, b) ((a) > (b) ? (a) : (b))
struct shape;
struct shape { int corners; struct shape *next; };
typedef struct { int x; } point;
typedef int (*callback)(struct shape *s);
enum colour { RED, GREEN = 2 };
union bits { int a; float b; };
static int count = 0;
int area(struct shape *s);
extern char *name_of(int);

static inline struct shape **
area_of(struct shape *s, int n)
{
    return MAX(s->corners, LIMIT) + count;
}
int main(void) { return area_of(0, RED); }
