/* Two exported models, two instances of each: outputs, statuses, split memory, hooks. Exits with the number of the check that fails. */
#include <stdio.h>
#include <string.h>

#include "lstm.h"
#include "motion.h"

#define CHECK(what)                                        \
  do {                                                     \
    if (!(what)) {                                         \
      printf("line %d: %s\n", __LINE__, #what);            \
      return 1;                                            \
    }                                                      \
  } while (0)

static uint8_t arenas[2][LSTM_ARENA_BYTES + 16] LSTM_ALIGNED;
static uint8_t states[2][LSTM_STATE_BYTES] LSTM_ALIGNED;
static uint8_t shared[LSTM_SCRATCH_BYTES > MOTION_SCRATCH_BYTES ? LSTM_SCRATCH_BYTES : MOTION_SCRATCH_BYTES] LSTM_ALIGNED;
static uint8_t motion_arenas[2][MOTION_ARENA_BYTES] MOTION_ALIGNED;
static unsigned yields;

void tinydeploy_yield(void);
void tinydeploy_yield(void) { ++yields; }

static void count(void *context, uint32_t op) {
  uint32_t *next = (uint32_t *)context;
  if (op == *next) ++*next;
}

static void fill(int8_t *input, uint32_t seed) {
  for (uint32_t i = 0; i < LSTM_INPUT_ELEMENTS; ++i) {
    seed = seed * 1664525u + 1013904223u;
    input[i] = (int8_t)(seed >> 24);
  }
}

/* The output of the `runs`-th inference of an instance that sees inputs `seed`, `seed` + 1 ... */
static int after(lstm_model *model, uint32_t seed, uint32_t runs, int8_t *output) {
  if (lstm_reset(model) != LSTM_OK) return 0;
  for (uint32_t i = 0; i < runs; ++i) {
    fill(lstm_input(model), seed + i);
    if (lstm_run(model) != LSTM_OK) return 0;
  }
  memcpy(output, lstm_output(model), LSTM_OUTPUT_BYTES);
  return 1;
}

int main(void) {
  static lstm_model a, b;
  static motion_model m, n;
  int8_t alone[2][LSTM_OUTPUT_ELEMENTS], together[2][LSTM_OUTPUT_ELEMENTS];
  uint32_t ops = 0;

  CHECK(lstm_run(&a) == LSTM_NOT_READY && lstm_input(&a) == NULL && lstm_output(&a) == NULL && lstm_top(&a) == -1);
  CHECK(lstm_reset(&a) == LSTM_NOT_READY && lstm_self_test(&a) == LSTM_NOT_READY && lstm_set_hook(&a, NULL, NULL) == LSTM_NOT_READY);
  CHECK(lstm_run(NULL) == LSTM_NOT_READY && lstm_init(NULL, arenas[0], sizeof arenas[0]) == LSTM_NOT_READY);
  CHECK(lstm_init(&a, arenas[0], LSTM_ARENA_BYTES - 1) == LSTM_ARENA_TOO_SMALL && lstm_run(&a) == LSTM_NOT_READY);
  CHECK(lstm_init(&a, arenas[0] + 1, LSTM_ARENA_BYTES) == LSTM_ARENA_UNALIGNED && lstm_init(&a, NULL, LSTM_ARENA_BYTES) == LSTM_ARENA_UNALIGNED);
  CHECK(lstm_init_split(&a, states[0], LSTM_STATE_BYTES - 1, shared, sizeof shared) == LSTM_ARENA_TOO_SMALL);
  CHECK(lstm_init_split(&a, NULL, LSTM_STATE_BYTES, shared, sizeof shared) == LSTM_ARENA_UNALIGNED);
  CHECK(lstm_quantize_input(&a, NULL) == LSTM_NOT_READY && lstm_dequantize_output(&a, 0) == 0);

  CHECK(lstm_init(&a, arenas[0], LSTM_ARENA_BYTES) == LSTM_OK && lstm_init(&b, arenas[1], LSTM_ARENA_BYTES) == LSTM_OK);
  CHECK(motion_init(&m, motion_arenas[0], MOTION_ARENA_BYTES) == MOTION_OK && motion_init(&n, motion_arenas[1], MOTION_ARENA_BYTES) == MOTION_OK);
  CHECK(lstm_self_test(&a) == LSTM_OK && lstm_self_test(&b) == LSTM_OK && motion_self_test(&m) == MOTION_OK && motion_self_test(&n) == MOTION_OK);
  CHECK(yields == 8 * (LSTM_OPS + MOTION_OPS));

  CHECK(after(&a, 1, 3, alone[0]) && after(&a, 100, 3, alone[1]));
  CHECK(lstm_reset(&a) == LSTM_OK && lstm_reset(&b) == LSTM_OK);
  for (uint32_t i = 0; i < 3; ++i) {
    fill(lstm_input(&a), 1 + i);
    fill(lstm_input(&b), 100 + i);
    CHECK(lstm_run(&a) == LSTM_OK && motion_run(&m) == MOTION_OK && lstm_run(&b) == LSTM_OK);
  }
  CHECK(memcmp(alone[0], lstm_output(&a), LSTM_OUTPUT_BYTES) == 0 && memcmp(alone[1], lstm_output(&b), LSTM_OUTPUT_BYTES) == 0);

  /* State apart, and scratch that all share: another model's inference leaves no trace. */
  CHECK(lstm_init_split(&a, states[0], LSTM_STATE_BYTES, shared, sizeof shared) == LSTM_OK);
  CHECK(lstm_init_split(&b, states[1], LSTM_STATE_BYTES, shared, sizeof shared) == LSTM_OK);
  CHECK(motion_init_split(&m, NULL, 0, shared, sizeof shared) == MOTION_OK);
  for (uint32_t i = 0; i < 3; ++i) {
    fill(lstm_input(&a), 1 + i);
    CHECK(lstm_run(&a) == LSTM_OK);
    memcpy(together[0], lstm_output(&a), LSTM_OUTPUT_BYTES);
    CHECK(motion_self_test(&m) == MOTION_OK);
    fill(lstm_input(&b), 100 + i);
    CHECK(lstm_run(&b) == LSTM_OK);
    memcpy(together[1], lstm_output(&b), LSTM_OUTPUT_BYTES);
  }
  CHECK(memcmp(alone, together, sizeof alone) == 0);

  CHECK(motion_set_hook(&m, count, &ops) == MOTION_OK && motion_run(&m) == MOTION_OK && ops == MOTION_OPS);
  CHECK(motion_op_name(0) != NULL && motion_op_name(MOTION_OPS) == NULL);
  CHECK(strcmp(motion_label(1), "running") == 0 && motion_label(-1) == NULL && motion_label(4) == NULL);
  CHECK(lstm_label(motion_top(&m)) != NULL && motion_top(&m) >= 0 && motion_top(&m) < (int32_t)MOTION_OUTPUT_ELEMENTS);
  motion_input(&m)[0] = (int8_t)(motion_input(&m)[0] + 1);
  motion_model copy = m;
  CHECK(motion_self_test(&copy) == MOTION_OK);
  puts("all checks passed");
  return 0;
}
