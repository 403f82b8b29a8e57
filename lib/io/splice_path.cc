#include "lib/io/splice_path.h"

#include <utility>

namespace trestle {

bool SplicePath::Begin() {
  if (!bulk_ || pipe_ != nullptr) return bulk_;
  bulk_ = false;
  pipes_ = source_.splice_pool();
  if (pipes_ == nullptr || pipes_ != sink_.splice_pool()) return false;
  pipe_ = pipes_->Take();
  return bulk_ = pipe_ != nullptr;
}

IoResult SplicePath::Read() {
  const IoResult result = source_.ReadInto(*pipe_, max_bytes_);
  const bool worthwhile = result.bytes > 0 && result.bytes >= max_bytes_ / 4;
  bulk_ = worthwhile || result.state == IoState::kWouldBlock;
  if (result.bytes == 0) Release();
  return result;
}

IoResult SplicePath::Write() {
  const IoResult result = sink_.WriteFrom(*pipe_);
  bytes_written_ += result.bytes;
  if (pipe_->size() == 0 && !bulk_) Release();
  return result;
}

void SplicePath::Release() {
  if (pipe_ != nullptr) pipes_->Return(std::move(pipe_));
  pipe_ = nullptr;
}

}  // namespace trestle
