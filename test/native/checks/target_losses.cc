#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>
#include <vector>

#include "core/fault_guard.h"
#include "core/mapping.h"
#include "core/memory.h"
#include "expect.h"
#include "scratch_file.h"
#include "targets.h"

namespace safetensors::test {
namespace {

constexpr uint64_t kMostFiles = 3;
constexpr uint64_t kMostPages = 9;

uint8_t ByteAt(const std::byte* address) {
  return std::to_integer<uint8_t>(*const_cast<const volatile std::byte*>(address));
}

// A file in the range, and what is to be known of it.
class GuardedFile {
 public:
  GuardedFile(uint64_t base, uint64_t length)
      : base_(base), length_(length), file_(length), size_(length), cut_at_(Pages(length)) {}

  uint64_t base() const { return base_; }
  const File& file() const { return file_.file(); }
  uint64_t length() const { return length_; }
  // In bytes of the range.
  std::optional<uint64_t> lost_from() const { return lost_from_; }

  // In bytes of the file.
  uint64_t first_lost() const { return *lost_from_ - base_; }
  uint64_t page_end() const { return base_ + Pages(length_) * page_; }

  // As short as that, or longer again: by a hole.
  void Resize(uint64_t size) {
    file_.Resize(size);
    // Whole pages that were cut off come back as zeros; of a last page, what was cut off does.
    intact_ = std::min({intact_, size, size_});
    size_ = size;
  }

  // Whether a byte is read, or is one of those that were lost.
  bool Has(uint64_t at) const { return IsThere(at) || at / page_ >= cut_at_; }

  // What the handler does when a byte is touched, and what is then read there.
  uint8_t Touch(uint64_t at) {
    if (!Has(at)) {
      cut_at_ = Pages(size_);
      Lose(cut_at_);
    }
    return at / page_ < cut_at_ && at < intact_ ? PatternAt(at) : 0;
  }

  // The same where the system says that a byte is not there.
  void Refuse(uint64_t at) {
    const uint64_t page = at / page_;
    Lose(page < cut_at_ ? std::min(page, Pages(size_)) : page);
  }

 private:
  uint64_t Pages(uint64_t bytes) const { return (bytes + page_ - 1) / page_; }
  bool IsThere(uint64_t at) const { return at / page_ < Pages(size_); }
  void Lose(uint64_t page) {
    const uint64_t from = base_ + page * page_;
    if (!lost_from_ || from < *lost_from_) lost_from_ = from;
  }

  const uint64_t page_ = Mapping::PageBytes();
  const uint64_t base_;
  const uint64_t length_;
  const ScratchFile file_;
  uint64_t size_;
  uint64_t cut_at_;  // the page from which on there are zeros instead of the file
  uint64_t intact_ = length_;
  std::optional<uint64_t> lost_from_;
};

class Guarded {
 public:
  explicit Guarded(Input& input) {
    uint64_t end = 0;
    for (uint64_t left = 1 + input.Below(kMostFiles); left > 0; left--) {
      const uint64_t length = 1 + input.Below(kMostPages * page_);
      files_.push_back(std::make_unique<GuardedFile>(end, length));
      end += (length + page_ - 1) / page_ * page_ + input.Below(2) * page_;
    }
    auto mapping = Mapping::Reserve(end);
    EXPECT(mapping.ok());
    mapping_ = std::move(mapping.value);
    for (const auto& file : files_) {
      EXPECT(mapping_->MapFile(file->file(), file->length(), file->base()).ok());
    }
    EXPECT(mapping_->Guard().ok());
  }

  uint64_t length() const { return mapping_->length(); }
  GuardedFile& Any(Input& input) { return *files_[input.Below(files_.size())]; }

  void Touch(GuardedFile& file, uint64_t at) {
    const uint8_t expected = file.Touch(at);
    EXPECT(ByteAt(mapping_->At(file.base() + at)) == expected);
  }

  // Of the last byte of a part of a file.
  void CheckEnd(GuardedFile& file, uint64_t begin, uint64_t end) {
    const Status status = CheckEndReadable({mapping_->At(file.base() + begin), end - begin});
    EXPECT(status.ok() == file.Has(end - 1));
    if (status.ok()) return;
    file.Refuse(end - 1);
    EXPECT(status.error == EFAULT && status.offset == file.first_lost());
  }

  void NoteAsLost(GuardedFile& file, uint64_t at) {
    NoteLost(mapping_->At(file.base() + at));
    file.Refuse(at);
  }

  // Any part of the range, or beyond it.
  void Ask(uint64_t offset, uint64_t length) const {
    const GuardedFile* first = nullptr;
    for (const auto& file : files_) {
      const bool overlaps =
          length > 0 && offset < file->base() + file->length() && file->base() < offset + length;
      if (first == nullptr && overlaps && file->lost_from()) first = file.get();
    }
    EXPECT(mapping_->LostFrom(offset, length) ==
           (first != nullptr ? first->lost_from() : std::nullopt));
    if (mapping_->Contains(offset, length)) AskByAddress(offset, length);
  }

 private:
  // Of whole pages, and of any of several files.
  void AskByAddress(uint64_t offset, uint64_t length) const {
    const std::optional<uint64_t> lost = LostFrom({mapping_->At(offset), length});
    bool is_known = !lost;
    for (const auto& file : files_) {
      if (length == 0 || offset >= file->page_end() || file->base() >= offset + length) continue;
      if (!file->lost_from()) continue;
      EXPECT(lost.has_value());
      is_known = is_known || lost == file->first_lost();
    }
    EXPECT(is_known);
  }

  const uint64_t page_ = Mapping::PageBytes();
  std::vector<std::unique_ptr<GuardedFile>> files_;
  std::shared_ptr<Mapping> mapping_;
};

}  // namespace

void Losses(Input input) {
  Guarded guarded(input);
  while (!input.empty()) {
    GuardedFile& file = guarded.Any(input);
    switch (input.Below(8)) {
      case 0:
      case 1:
        guarded.Touch(file, input.Below(file.length()));
        break;
      case 2: {
        const uint64_t end = 1 + input.Below(file.length());
        guarded.CheckEnd(file, input.Below(end), end);
        break;
      }
      case 3:
        if (input.Below(4) == 0) guarded.NoteAsLost(file, input.Below(file.length()));
        break;
      case 4:
      case 5:
        file.Resize(input.Below(file.length() + 1));
        break;
      default:
        const uint64_t offset = input.Size(guarded.length());
        guarded.Ask(offset, input.Size(guarded.length()));
    }
  }
}

}  // namespace safetensors::test
