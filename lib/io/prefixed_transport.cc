#include "trestle/io/prefixed_transport.h"

#include <algorithm>
#include <cstring>

namespace trestle {

IoResult PrefixedTransport::Read(MutableByteView out) {
  const size_t bytes = std::min(out.size(), prefix_.size() - taken_);
  if (bytes == 0) return inner_->Read(out);
  std::memcpy(out.data(), prefix_.data() + taken_, bytes);
  taken_ += bytes;
  if (taken_ == prefix_.size()) {
    prefix_ = std::string();
    taken_ = 0;
  }
  return {bytes, IoState::kOk};
}

void PrefixedTransport::Abort() {
  prefix_ = std::string();
  taken_ = 0;
  inner_->Abort();
}

}  // namespace trestle
