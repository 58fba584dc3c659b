// The firmware, the same for every engine and board.
#include "measure.h"
#include "port/link.h"
#include "session.h"

int main() {
  tinydeploy::link::open();
  tinydeploy::measure::open();
  tinydeploy::serve();
}
