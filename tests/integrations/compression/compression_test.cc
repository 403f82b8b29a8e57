// Compressed certificates, decompressed by the libraries' own decoders, also in a handshake.
#include <brotli/decode.h>
#include <openssl/pool.h>
#include <openssl/ssl.h>
#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "integrations/compression/brotli_compressor.h"
#include "integrations/compression/zlib_compressor.h"
#include "tests/tls/resuming_client.h"
#include "tests/tls/tls_fixture.h"

namespace trestle::testing {
namespace {

std::optional<std::string> Unbrotli(ByteView in, size_t bytes) {
  std::string out(bytes, '\0');
  size_t got = bytes;
  if (BrotliDecoderDecompress(in.size(), in.data(), &got, reinterpret_cast<uint8_t*>(&out[0])) !=
          BROTLI_DECODER_RESULT_SUCCESS ||
      got != bytes) {
    return std::nullopt;
  }
  return out;
}

std::optional<std::string> Unzlib(ByteView in, size_t bytes) {
  std::string out(bytes, '\0');
  uLongf got = bytes;
  if (uncompress(reinterpret_cast<Bytef*>(&out[0]), &got, in.data(),
                 static_cast<uLong>(in.size())) != Z_OK ||
      got != bytes) {
    return std::nullopt;
  }
  return out;
}

size_t compressed_bytes = 0;  // Of the last received certificate.

template <std::optional<std::string> (*decompress)(ByteView, size_t)>
int Decompress(SSL* /*ssl*/, CRYPTO_BUFFER** out, size_t bytes, const uint8_t* in,
               size_t in_bytes) {
  compressed_bytes = in_bytes;
  const std::optional<std::string> text = decompress(ByteView(in, in_bytes), bytes);
  if (!text.has_value()) return 0;
  *out = CRYPTO_BUFFER_new(AsBytes(*text).data(), text->size(), nullptr);
  return 1;
}

std::string Repetitive() {
  std::string text;
  for (int i = 0; i < 200; ++i) absl::StrAppend(&text, "certificate ", i, " of the chain\n");
  return text;
}

TEST(CompressionTest, DecompressionRestoresTheInput) {
  for (const std::string& text : {Repetitive(), std::string(1, 'x'), std::string(70000, '\0')}) {
    const std::optional<std::string> brotli = BrotliCompressor().Compress(AsBytes(text));
    ASSERT_TRUE(brotli.has_value());
    EXPECT_EQ(Unbrotli(AsBytes(*brotli), text.size()), text);
    const std::optional<std::string> zlib = ZlibCompressor().Compress(AsBytes(text));
    ASSERT_TRUE(zlib.has_value());
    EXPECT_EQ(Unzlib(AsBytes(*zlib), text.size()), text);
  }
  EXPECT_LT(BrotliCompressor().Compress(AsBytes(Repetitive()))->size(), Repetitive().size() / 4);
}

class CompressedHandshakeTest : public TlsTest {};

TEST_F(CompressedHandshakeTest, AClientReadsTheChain) {
  TestPki upper(pki_, "Upper Intermediate Authority of a Test");
  TestPki lower(upper, "Lower Intermediate Authority of a Test");
  ServerTlsOptions options;
  options.certificates =
      *CertificateStore::Create({lower.IssueCredential(LeafFor("a.test"))}, loop_.Now());
  options.certificate_compressors = {std::make_shared<BrotliCompressor>(),
                                     std::make_shared<ZlibCompressor>()};
  const auto config = MakeServerConfig(std::move(options));
  size_t chain_bytes = 0;
  for (const auto& [algorithm, function] :
       {std::pair(CompressionAlgorithm::kBrotli, &Decompress<Unbrotli>),
        std::pair(CompressionAlgorithm::kZlib, &Decompress<Unzlib>)}) {
    ResumingClient client(TLS1_3_VERSION);
    ASSERT_TRUE(SSL_CTX_add_cert_compression_alg(client.context(), static_cast<uint16_t>(algorithm),
                                                 nullptr, function));
    compressed_bytes = 0;
    EXPECT_FALSE(client.Connect(config, loop_, "a.test"));
    EXPECT_GT(compressed_bytes, 0u);
    chain_bytes = std::max(chain_bytes, compressed_bytes);
  }
  EXPECT_LT(chain_bytes, 1300u) << "three certificates of some 400 bytes each";
}

}  // namespace
}  // namespace trestle::testing
