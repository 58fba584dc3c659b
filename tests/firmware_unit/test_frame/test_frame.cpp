#include "check.h"
#include "runtime/frame.cpp"

using namespace tinydeploy;
using frame::Decoder;

namespace {

uint8_t body[frame::kMaxBody];
uint8_t coded[frame::kMaxFrame];

uint64_t number;

// Fills body with `bytes` random bytes, of which about one in `zeros` is zero, and encodes it with a random number.
size_t random_frame(size_t bytes, uint32_t zeros) {
  for (size_t i = 0; i < bytes; ++i) {
    const uint32_t random = check::random32();
    body[i] = (random >> 8) % zeros == 0 ? 0 : static_cast<uint8_t>(random);
  }
  number = static_cast<uint64_t>(check::random32()) << 8 | (check::random32() & 255);
  return frame::encode(body, bytes, number, coded);
}

// How many frames `decoder` finds in the coded bytes.
int push_all(Decoder& decoder, size_t length) {
  int found = 0;
  for (size_t i = 0; i < length; ++i) found += decoder.push(coded[i]);
  return found;
}

void crc_is_the_one_of_zlib() {
  const uint8_t digits[] = {'1', '2', '3', '4', '5', '6', '7', '8', '9'};
  CHECK(frame::crc32(digits, 9) == 0xcbf43926);  // the check value of the CRC catalogues
  CHECK(frame::crc32(digits, 0) == 0);
}

void a_known_frame() {
  body[0] = 0x11;
  const size_t length = frame::encode(body, 2, 0x1234567800, coded);
  CHECK(length == 12);
  CHECK(coded[0] == 2 && coded[1] == 0x11);  // the number's lowest byte, a zero, is two bytes on
  CHECK(coded[3] == 0x78 && coded[4] == 0x56 && coded[5] == 0x34 && coded[6] == 0x12);
  CHECK(coded[length - 1] == 0);
}

void frames_of_every_length_come_back() {
  Decoder decoder;
  for (size_t bytes = frame::kHeader; bytes <= frame::kHeader + frame::kMaxPayload; ++bytes) {
    for (uint32_t zeros = 1; zeros < 1000000; zeros *= 64) {
      const size_t length = random_frame(bytes, zeros);
      CHECK(length == bytes + frame::kTrailer + 2);
      for (size_t i = 0; i + 1 < length; ++i) CHECK(coded[i] != 0);
      CHECK(push_all(decoder, length) == 1);
      CHECK(decoder.kind() == body[0] && decoder.number() == number);
      CHECK(decoder.payload_bytes() == bytes - frame::kHeader);
      for (size_t i = frame::kHeader; i < bytes; ++i) CHECK(decoder.payload()[i - frame::kHeader] == body[i]);
    }
  }
  CHECK(decoder.bad_frames() == 0);
}

void a_damaged_frame_is_dropped_and_the_next_one_is_not() {
  Decoder decoder;
  for (uint32_t round = 0; round < 500; ++round) {
    const size_t length = random_frame(40, 5);
    const size_t where = check::random32() % (length - 1);
    coded[where] ^= static_cast<uint8_t>(1 + check::random32() % 255);
    CHECK(push_all(decoder, length) == 0);
    CHECK(push_all(decoder, random_frame(40, 5)) == 1);
  }
  CHECK(decoder.bad_frames() >= 500);
}

void a_frame_without_end_overruns_nothing() {
  Decoder decoder;
  for (int i = 0; i < 5000; ++i) CHECK(!decoder.push(static_cast<uint8_t>(1 + check::random32() % 255)));
  CHECK(!decoder.push(0));
  CHECK(decoder.bad_frames() == 1);
  CHECK(push_all(decoder, random_frame(20, 3)) == 1);
}

void zeros_between_frames_mean_nothing() {
  Decoder decoder;
  for (int i = 0; i < 10; ++i) CHECK(!decoder.push(0));
  CHECK(push_all(decoder, random_frame(10, 2)) == 1);
  CHECK(decoder.bad_frames() == 0);
}

}  // namespace

int main() {
  RUN(crc_is_the_one_of_zlib);
  RUN(a_known_frame);
  RUN(frames_of_every_length_come_back);
  RUN(a_damaged_frame_is_dropped_and_the_next_one_is_not);
  RUN(a_frame_without_end_overruns_nothing);
  RUN(zeros_between_frames_mean_nothing);
  check::finish();
}
