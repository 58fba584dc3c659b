// The firmware, the same for every engine and board.
#include "board.h"
#include "measure.h"
#include "mlperf_tiny.h"
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
#elif TINYDEPLOY_MLPERF_TINY
  tinydeploy::mlperf_tiny::run();
#else
  tinydeploy::serve();
#endif
}
