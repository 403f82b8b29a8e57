#include "lib/tls/peer_chain.h"

#include <utility>

#include "lib/tls/certificate_info.h"
#include "trestle/base/bytes.h"

namespace trestle {

bool ReadChain(const STACK_OF(CRYPTO_BUFFER) * buffers, CertificateChain& chain,
               ChainInfo& description) {
  std::vector<CertificateInfo> described;
  for (size_t i = 0; buffers != nullptr && i < sk_CRYPTO_BUFFER_num(buffers); ++i) {
    chain.push_back(ParseCertificate(sk_CRYPTO_BUFFER_value(buffers, i)));
    if (chain.back() == nullptr) break;
    described.push_back(DescribeCertificate(chain.back().get()));
  }
  description = ChainInfo(std::move(described));
  return !chain.empty() && chain.back() != nullptr;
}

std::vector<std::string> CopyChain(const STACK_OF(CRYPTO_BUFFER) * buffers) {
  std::vector<std::string> certificates;
  for (size_t i = 0; buffers != nullptr && i < sk_CRYPTO_BUFFER_num(buffers); ++i) {
    const CRYPTO_BUFFER* buffer = sk_CRYPTO_BUFFER_value(buffers, i);
    certificates.emplace_back(
        AsText(ByteView(CRYPTO_BUFFER_data(buffer), CRYPTO_BUFFER_len(buffer))));
  }
  return certificates;
}

}  // namespace trestle
