// A plugin of QEMU's that says what the firmware executes from each execution of one instruction, the mark, to the
// next: how often each instruction ran, where branches were taken, and what was read and written where.
//
// It is compiled on the machine that QEMU runs on. No package has QEMU's own header, so what is used of it is
// declared here, after the documentation (https://www.qemu.org/docs/master/devel/tcg-plugins.html).
//
// Blocks are counted, not instructions: all of a block runs once it is begun. The one exception is a block that a
// device is read in, whose rest is begun anew as another block: the mark stands at the entry of the function that
// reads the counter, so what is too many is the same in every interval, and taken off with what reading costs.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

extern "C" {
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef uint64_t qemu_plugin_id_t;
typedef uint32_t qemu_plugin_meminfo_t;
typedef void (*exec_callback)(unsigned vcpu, void* data);
typedef void (*memory_callback)(unsigned vcpu, qemu_plugin_meminfo_t info, uint64_t address, void* data);
typedef void (*translation_callback)(qemu_plugin_id_t id, qemu_plugin_tb* tb);
enum { kNoRegisters = 0, kReadsAndWrites = 3 };

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, translation_callback callback);
void qemu_plugin_register_vcpu_tb_exec_cb(qemu_plugin_tb* tb, exec_callback callback, int flags, void* data);
void qemu_plugin_register_vcpu_insn_exec_cb(qemu_plugin_insn* insn, exec_callback callback, int flags, void* data);
void qemu_plugin_register_vcpu_mem_cb(qemu_plugin_insn* insn, memory_callback callback, int flags, int access,
                                      void* data);
size_t qemu_plugin_tb_n_insns(const qemu_plugin_tb* tb);
qemu_plugin_insn* qemu_plugin_tb_get_insn(const qemu_plugin_tb* tb, size_t index);
uint64_t qemu_plugin_insn_vaddr(const qemu_plugin_insn* insn);
size_t qemu_plugin_insn_size(const qemu_plugin_insn* insn);
unsigned qemu_plugin_mem_size_shift(qemu_plugin_meminfo_t info);
bool qemu_plugin_mem_is_store(qemu_plugin_meminfo_t info);

// Which version of the interface this was compiled for; QEMU refuses what it does not have.
__attribute__((visibility("default"))) int qemu_plugin_version = TINYDEPLOY_QEMU_PLUGIN_VERSION;
}

namespace {

// What is told of an instruction. One that lies elsewhere than in the firmware's code is told with all others of
// that kind, at the address behind the code.
struct Row {
  uint64_t address;
  uint64_t executed;
  uint64_t taken;        // branches away from here
  uint64_t arrived;      // branches to here
  uint64_t flash_reads;  // accesses, of up to 8 bytes each
  uint64_t flash_lines;  // those of a line other than the one read from flash before
  uint64_t flash_bytes;
  uint64_t ram_reads;
  uint64_t ram_writes;
  uint64_t ram_bytes;
  uint64_t other_reads;
  uint64_t other_writes;
};

struct Range {
  uint64_t begin = 0, end = 0;
  bool holds(uint64_t address) const { return address >= begin && address < end; }
};

struct Block {
  uint64_t begin, end;
  uint64_t count = 0;
  std::vector<Row*> rows;
};

constexpr unsigned kLineShift = 4;  // bytes of a line of flash: 16

Range code, flash, ram;
uint64_t mark;
FILE* out;
std::vector<Row> rows;  // one per halfword of the code, and the one behind
std::vector<std::unique_ptr<Block>> blocks;
Row* last_row;          // of the block that ran last
uint64_t expected;      // where it leads if it branches nowhere
uint64_t line = UINT64_MAX;

Row* row_of(uint64_t address) {
  return &rows[code.holds(address) ? (address - code.begin) / 2 : rows.size() - 1];
}

void begun(unsigned, void* data) {
  Block* block = static_cast<Block*>(data);
  if (block->begin != expected && last_row != nullptr) {
    ++last_row->taken;
    ++block->rows.front()->arrived;
  }
  ++block->count;
  expected = block->end;
  last_row = block->rows.back();
}

void accessed(unsigned, qemu_plugin_meminfo_t info, uint64_t address, void* data) {
  Row* row = static_cast<Row*>(data);
  const uint64_t bytes = uint64_t{1} << qemu_plugin_mem_size_shift(info);
  const bool store = qemu_plugin_mem_is_store(info);
  if (flash.holds(address) && !store) {
    ++row->flash_reads;
    row->flash_bytes += bytes;
    if (address >> kLineShift != line) ++row->flash_lines;
    line = address >> kLineShift;
  } else if (ram.holds(address)) {
    ++(store ? row->ram_writes : row->ram_reads);
    row->ram_bytes += bytes;
  } else {
    ++(store ? row->other_writes : row->other_reads);
  }
}

// One record: how many rows, and those that are not empty.
void marked(unsigned, void*) {
  for (auto& block : blocks) {
    if (block->count == 0) continue;
    for (Row* row : block->rows) row->executed += block->count;
    block->count = 0;
  }
  const Row empty{};
  uint64_t told = 0;
  const size_t after_address = sizeof(empty.address);
  auto is_empty = [&](const Row& row) {
    return std::memcmp(reinterpret_cast<const char*>(&row) + after_address,
                       reinterpret_cast<const char*>(&empty) + after_address, sizeof(Row) - after_address) == 0;
  };
  for (const Row& row : rows) told += !is_empty(row);
  std::fwrite(&told, sizeof(told), 1, out);
  for (Row& row : rows) {
    if (is_empty(row)) continue;
    std::fwrite(&row, sizeof(row), 1, out);
    const uint64_t address = row.address;
    row = empty;
    row.address = address;
  }
  std::fflush(out);
}

void translated(qemu_plugin_id_t, qemu_plugin_tb* tb) {
  auto block = std::make_unique<Block>();
  const size_t count = qemu_plugin_tb_n_insns(tb);
  for (size_t i = 0; i < count; ++i) {
    qemu_plugin_insn* insn = qemu_plugin_tb_get_insn(tb, i);
    const uint64_t address = qemu_plugin_insn_vaddr(insn);
    Row* row = row_of(address);
    if (i == 0) block->begin = address;
    block->end = address + qemu_plugin_insn_size(insn);
    block->rows.push_back(row);
    qemu_plugin_register_vcpu_mem_cb(insn, accessed, kNoRegisters, kReadsAndWrites, row);
    if (address == mark) qemu_plugin_register_vcpu_insn_exec_cb(insn, marked, kNoRegisters, nullptr);
  }
  if (count == 0) return;
  qemu_plugin_register_vcpu_tb_exec_cb(tb, begun, kNoRegisters, block.get());
  blocks.push_back(std::move(block));
}

}  // namespace

// Arguments: mark=ADDRESS, code=BEGIN:END, flash=…, ram=… and out=FILE.
extern "C" __attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id, const void*, int argc,
                                                                          char** argv) {
  const struct {
    const char* name;
    Range* range;
  } ranges[] = {{"code=", &code}, {"flash=", &flash}, {"ram=", &ram}};
  for (int i = 0; i < argc; ++i) {
    if (std::strncmp(argv[i], "mark=", 5) == 0) mark = std::strtoull(argv[i] + 5, nullptr, 0);
    if (std::strncmp(argv[i], "out=", 4) == 0) out = std::fopen(argv[i] + 4, "wb");
    for (const auto& known : ranges) {
      const size_t length = std::strlen(known.name);
      if (std::strncmp(argv[i], known.name, length) != 0) continue;
      char* rest;
      known.range->begin = std::strtoull(argv[i] + length, &rest, 0);
      known.range->end = std::strtoull(rest + 1, nullptr, 0);
    }
  }
  if (out == nullptr || code.end <= code.begin) return 1;
  rows.resize((code.end - code.begin) / 2 + 1);
  for (size_t i = 0; i < rows.size(); ++i) rows[i].address = code.begin + 2 * i;
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  return 0;
}
