#include "lib/io/direct_path.h"

#include <utility>

namespace trestle {

bool DirectPath::Begin() {
  if (!bulk_ || pipe_ != nullptr) return bulk_;
  bulk_ = false;
  pipes_ = source_.direct_pipes();
  if (pipes_ == nullptr || pipes_ != sink_.direct_pipes()) return false;
  pipe_ = pipes_->Take();
  return bulk_ = pipe_ != nullptr;
}

IoResult DirectPath::Read() {
  const IoResult result = source_.ReadInto(*pipe_, max_bytes_);
  const bool worthwhile = result.bytes > 0 && result.bytes >= max_bytes_ / 4;
  bulk_ = worthwhile || result.state == IoState::kWouldBlock;
  if (result.bytes == 0) Release();
  return result;
}

IoResult DirectPath::Write() {
  const IoResult result = sink_.WriteFrom(*pipe_);
  bytes_written_ += result.bytes;
  if (pipe_->size() == 0 && !bulk_) Release();
  return result;
}

void DirectPath::Release() {
  if (pipe_ != nullptr) pipes_->Return(std::move(pipe_));
  pipe_ = nullptr;
}

}  // namespace trestle
