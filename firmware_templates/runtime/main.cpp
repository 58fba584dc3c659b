// The firmware, the same for every engine and board.
#include "measure.h"
#include "port/clock.h"
#include "port/link.h"
#include "selftest.h"
#include "session.h"

int main() {
  tinydeploy::clock::start();
  tinydeploy::link::open();
  tinydeploy::measure::open();
#if TINYDEPLOY_SELFTEST
  tinydeploy::selftest::run();
#else
  tinydeploy::serve();
#endif
}
