// Features of sound: the logarithms of the energies in mel bands, as the streaming wake word benchmark of MLPerf Tiny
// has them (docs/mlperf.md). In float32; the tables are generated, log_mel_tables.h.
#pragma once

#include <stdint.h>

namespace tinydeploy {
namespace log_mel {

// Of `kWindow` samples of 16 bits and the one before them. Each of the `kBands` features is 0 to 1.
void features(const int16_t* samples, float* found);

}  // namespace log_mel
}  // namespace tinydeploy
