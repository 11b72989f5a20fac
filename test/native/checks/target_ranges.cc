#include <cerrno>
#include <vector>

#include "core/residency.h"
#include "exact.h"
#include "expect.h"
#include "scratch_file.h"
#include "targets.h"

namespace safetensors::test {
namespace {

constexpr uint64_t kFilePages = 5;
constexpr uint64_t kRangePages = 12;

// A reserved range of addresses, and what is known of each of its pages.
class Range {
 public:
  explicit Range(uint64_t length)
      : page_(Mapping::PageBytes()),
        file_(kFilePages * page_ - 123),
        length_(length),
        pages_((length + page_ - 1) / page_, kNothing) {
    auto reserved = Mapping::Reserve(length);
    EXPECT(reserved.ok() && reserved.value->length() == length);
    mapping_ = std::move(reserved.value);
  }

  void Map(uint64_t offset, uint64_t length) {
    const Status status = mapping_->MapFile(file_.file(), length, offset);
    const bool contained = Contains(offset, length);
    EXPECT(status.ok() == (contained && (length == 0 || offset % page_ == 0)));
    if (!status.ok()) EXPECT(status.error == EINVAL);
    if (!status.ok()) return;
    for (uint64_t done = 0; done < length; done += page_) {
      pages_[(offset + done) / page_] = done < file_.size() ? done / page_ : kBehindTheFile;
    }
  }

  void PageInAndRead(ByteRange range) {
    const Status status = PageIn(*mapping_, range);
    EXPECT(status.ok() == (range.length == 0 ? Contains(range.offset, 0) : IsReadable(range)));
    if (!status.ok() || range.length == 0) return;
    const Result<uint64_t> resident = ResidentBytes(*mapping_, range);
    EXPECT(resident.ok() && resident.value <= range.length);
    for (uint64_t at = range.offset; at < range.offset + range.length; at += 97) {
      const uint64_t place = pages_[at / page_] * page_ + at % page_;
      const uint8_t expected = place < file_.size() ? PatternAt(place) : 0;
      EXPECT(std::to_integer<uint8_t>(*mapping_->At(at)) == expected);
    }
  }

  void Count(ByteRange range) {
    const Result<uint64_t> resident = ResidentBytes(*mapping_, range);
    EXPECT(resident.ok() == Contains(range.offset, range.length));
    if (resident.ok()) EXPECT(resident.value <= range.length);
  }

  void Drop(ByteRange range) {
    EXPECT(DropPages(*mapping_, range).ok() == Contains(range.offset, range.length));
  }

  void Ask(ByteRange range) { ReadAhead(*mapping_, range); }

 private:
  static constexpr uint64_t kNothing = ~uint64_t{0};
  static constexpr uint64_t kBehindTheFile = kNothing - 1;

  bool Contains(uint64_t offset, uint64_t length) const {
    const bool contained = static_cast<__int128>(offset) + length <= length_;
    EXPECT(mapping_->Contains(offset, length) == contained);
    return contained;
  }

  bool IsReadable(ByteRange range) const {
    if (!Contains(range.offset, range.length)) return false;
    for (uint64_t page = range.offset / page_; page * page_ < range.offset + range.length; page++) {
      if (pages_[page] >= kBehindTheFile) return false;
    }
    return true;
  }

  const uint64_t page_;
  const ScratchFile file_;
  const uint64_t length_;
  std::vector<uint64_t> pages_;  // of the file
  std::shared_ptr<Mapping> mapping_;
};

}  // namespace

void Ranges(Input input) {
  const uint64_t page = Mapping::PageBytes();
  // As much as a header may claim: there, or refused.
  const uint64_t claimed = input.Size(kRangePages * page);
  const auto reserved = Mapping::Reserve(claimed);
  EXPECT(reserved.ok() ? reserved.value->length() == claimed : reserved.status.error == ENOMEM);

  const uint64_t length = input.Below(kRangePages * page);
  Range range(length);
  while (!input.empty()) {
    const uint64_t choice = input.Below(8);
    uint64_t offset = input.Size(length);
    const uint64_t bytes = input.Size(length);
    if (input.Chance()) offset = offset / page * page;
    if (choice < 2) range.Map(offset, bytes);
    if (choice == 2 || choice == 3) range.PageInAndRead({offset, bytes});
    if (choice == 4) range.Count({offset, bytes});
    if (choice == 5) range.Drop({offset, bytes});
    if (choice == 6) range.Ask({offset, bytes});
    if (choice == 7) range.Map(0, length);
  }
}

}  // namespace safetensors::test
