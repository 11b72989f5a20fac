#include "core/name_index.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace safetensors {
namespace {

uint32_t LoadWord(const std::byte* bytes, size_t count) {
  uint32_t word = 0;
  std::memcpy(&word, bytes, count);
  return word;
}

bool Same(Name a, Name b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

// Words of four names, or what becomes of them; the compilers that we build with know such vectors,
// and SSE2 and NEON, which every processor that we build for has, work on all four at once.
constexpr size_t kLanes = 4;
using Words = uint32_t __attribute__((vector_size(kLanes * sizeof(uint32_t))));

// HalfSipHash-1-3 (Aumasson and Bernstein 2012), 32 bits: hashName of name-index.ts, bit for bit.
// Of one name (`T` a word), or of four.
template <typename T>
struct HalfSipHash {
  T v0, v1, v2, v3;

  HalfSipHash(uint32_t key0, uint32_t key1)
      : v0(T{} + key0),
        v1(T{} + key1),
        v2(T{} + (0x6c796765 ^ key0)),
        v3(T{} + (0x74656462 ^ key1)) {}

  void Round(T word) {
    v3 ^= word;
    v0 += v1;
    v1 = Rotated<5>(v1) ^ v0;
    v0 = Rotated<16>(v0);
    v2 += v3;
    v3 = Rotated<8>(v3) ^ v2;
    v0 += v3;
    v3 = Rotated<7>(v3) ^ v0;
    v2 += v1;
    v1 = Rotated<13>(v1) ^ v2;
    v2 = Rotated<16>(v2);
    v0 ^= word;
  }

  // The round of one name's word where `mask` has all bits, none where it has none.
  void Round(T word, T mask) {
    HalfSipHash next = *this;
    next.Round(word);
    v0 = (v0 & ~mask) | (next.v0 & mask);
    v1 = (v1 & ~mask) | (next.v1 & mask);
    v2 = (v2 & ~mask) | (next.v2 & mask);
    v3 = (v3 & ~mask) | (next.v3 & mask);
  }

  // What the rounds of all whole words have led to, with the last word: see LastWord.
  T Finish(T last) {
    Round(last);
    v2 ^= 0xff;
    for (int i = 0; i < 3; ++i) Round(T{});
    return v1 ^ v3;
  }

 private:
  template <int kBits>
  static T Rotated(T word) {
    return word << kBits | word >> (32 - kBits);
  }
};

size_t WholeWords(Name name) { return name.size() / sizeof(uint32_t); }

uint32_t WordOf(Name name, size_t i) {
  return LoadWord(name.data() + sizeof(uint32_t) * i, sizeof(uint32_t));
}

// The bytes behind the whole words, and the length.
uint32_t LastWord(Name name) {
  const size_t whole = sizeof(uint32_t) * WholeWords(name);
  return LoadWord(name.data() + whole, name.size() - whole) | static_cast<uint32_t>(name.size())
                                                                  << 24;
}

uint32_t HashName(Name name, uint32_t key0, uint32_t key1) {
  HalfSipHash<uint32_t> state(key0, key1);
  for (size_t i = 0; i < WholeWords(name); ++i) state.Round(WordOf(name, i));
  return state.Finish(LastWord(name));
}

// The hashes of four names. One that is shorter than others waits for them.
void HashNames(const Name* names, uint32_t key0, uint32_t key1, uint32_t* hashes) {
  const auto words_of = [&](auto word) {
    return Words{word(names[0]), word(names[1]), word(names[2]), word(names[3])};
  };
  size_t fewest = WholeWords(names[0]);
  size_t most = fewest;
  for (size_t lane = 1; lane < kLanes; ++lane) {
    fewest = std::min(fewest, WholeWords(names[lane]));
    most = std::max(most, WholeWords(names[lane]));
  }
  HalfSipHash<Words> state(key0, key1);
  for (size_t i = 0; i < fewest; ++i) {
    state.Round(words_of([i](Name name) { return WordOf(name, i); }));
  }
  for (size_t i = fewest; i < most; ++i) {
    const auto has = [i](Name name) { return i < WholeWords(name); };
    state.Round(words_of([&](Name name) { return has(name) ? WordOf(name, i) : 0; }),
                words_of([&](Name name) { return has(name) ? UINT32_MAX : 0; }));
  }
  const Words hash = state.Finish(words_of(LastWord));
  for (size_t lane = 0; lane < kLanes; ++lane) hashes[lane] = hash[lane];
}

}  // namespace

size_t NameIndex::InsertDistinct() const {
  // Hashes of several names before any branch depends on one, and before their slots are needed.
  constexpr size_t kBatch = 32;
  std::array<uint32_t, kBatch> hashes{};
  std::array<Name, kBatch> batch_names;
  // New memory gets its pages here, in order: at the names' places it takes several times as long.
  std::ranges::fill(slots, 0);
  const size_t count = names.starts.size();
  const size_t mask = slots.size() / 2 - 1;
  for (size_t first = 0; first < count; first += kBatch) {
    const size_t wanted = std::min(kBatch, count - first);
    size_t batch = 0;
    for (; batch < wanted && names.Has(first + batch); ++batch) {
      batch_names[batch] = names.At(first + batch);
    }
    size_t hashed = 0;
    for (; hashed + kLanes <= batch; hashed += kLanes) {
      HashNames(&batch_names[hashed], key0, key1, &hashes[hashed]);
    }
    for (; hashed < batch; ++hashed) hashes[hashed] = HashName(batch_names[hashed], key0, key1);
    for (size_t i = 0; i < batch; ++i) __builtin_prefetch(&slots[2 * (hashes[i] & mask)]);
    for (size_t i = 0; i < batch; ++i) {
      size_t slot = hashes[i] & mask;
      for (; slots[2 * slot] != 0; slot = (slot + 1) & mask) {
        const auto other = static_cast<size_t>(slots[2 * slot]) - 1;
        if (static_cast<uint32_t>(slots[2 * slot + 1]) != hashes[i] || other >= first + i) continue;
        if (names.Has(other) && Same(names.At(other), batch_names[i])) return first + i;
      }
      slots[2 * slot] = static_cast<int32_t>(first + i + 1);
      slots[2 * slot + 1] = static_cast<int32_t>(hashes[i]);
    }
    if (batch < wanted) return first + batch;
  }
  return count;
}

namespace {

// Where a name is likely to be when those before it have been found: models repeat themselves,
// whatever the order of the index and of what is looked for, so that two steps from place to place
// lead to the next.
class NextPlace {
 public:
  size_t Guess() const { return last_ + static_cast<size_t>(int64_t{steps_[Slot()]}); }

  void Found(size_t place) {
    const auto step = static_cast<int32_t>(place - last_);
    steps_[Slot()] = step;
    before_ = step_;
    step_ = step;
    last_ = place;
  }

 private:
  static constexpr size_t kSteps = 256;

  size_t Slot() const {
    return (static_cast<uint32_t>(step_) * 31 + static_cast<uint32_t>(before_)) % kSteps;
  }

  std::array<int32_t, kSteps> steps_{};
  int32_t step_ = 0;
  int32_t before_ = 0;
  size_t last_ = 0;
};

}  // namespace

void NameIndex::Find(const Names& others, std::span<int32_t> found) const {
  std::ranges::fill(found, -1);
  NextPlace next;
  for (size_t i = 0; i < found.size() && others.Has(i); ++i) {
    const Name name = others.At(i);
    const size_t guess = next.Guess();
    const std::optional<size_t> place =
        names.Has(guess) && Same(names.At(guess), name) ? guess : FindOne(name);
    if (!place) continue;
    found[i] = static_cast<int32_t>(*place);
    next.Found(*place);
  }
}

std::optional<size_t> NameIndex::FindOne(Name name) const {
  const uint32_t hash = HashName(name, key0, key1);
  const size_t pairs = slots.size() / 2;
  size_t slot = hash & (pairs - 1);
  // Nobody but this package has the slots; if they were full, they would be looked through once.
  for (size_t left = pairs; left > 0 && slots[2 * slot] != 0; --left) {
    const auto other = static_cast<size_t>(slots[2 * slot]) - 1;
    if (static_cast<uint32_t>(slots[2 * slot + 1]) == hash && names.Has(other) &&
        Same(names.At(other), name)) {
      return other;
    }
    slot = (slot + 1) & (pairs - 1);
  }
  return std::nullopt;
}

}  // namespace safetensors
