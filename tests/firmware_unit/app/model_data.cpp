#include <stdint.h>

extern const uint8_t model_increments[8];
const uint8_t model_increments[8] = {1, 2, 3, 4, 5, 6, 7, 8};
