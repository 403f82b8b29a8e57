#include "trestle/io/prefixed_transport.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "trestle/wire/proxy_protocol.h"

namespace trestle {

PrefixedTransport::PrefixedTransport(std::string prefix, std::unique_ptr<Transport> inner,
                                     std::shared_ptr<const ProxyHeader> header)
    : prefix_(std::move(prefix)), inner_(std::move(inner)), header_(std::move(header)) {}

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

TransportInfo PrefixedTransport::info() const {
  TransportInfo info = inner_->info();
  if (!prefix_.empty()) info.fd = -1;
  if (header_ == nullptr) return info;
  info.proxy_header = header_;
  info.via = info.peer;
  if (header_->family == ProxyFamily::kIpv4 || header_->family == ProxyFamily::kIpv6) {
    info.peer = header_->source;
    info.local = header_->destination;
  }
  return info;
}

}  // namespace trestle
