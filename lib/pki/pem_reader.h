// PemReader: reads the blocks of a PEM text (RFC 7468); skips none silently.
#ifndef TRESTLE_LIB_PKI_PEM_READER_H_
#define TRESTLE_LIB_PKI_PEM_READER_H_

#include <openssl/base.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "trestle/base/bytes.h"

namespace trestle {

struct PemBlock {
  std::string label;       ///< "CERTIFICATE".
  size_t line = 0;         ///< Line of its BEGIN, from 1.
  absl::string_view text;  ///< From BEGIN to END; a view into the input.
  std::string header;      ///< "Proc-Type: …" of an encrypted key (RFC 1421 4.6); usually empty.
  bssl::UniquePtr<uint8_t> der;
  size_t der_bytes = 0;

  ByteView contents() const { return ByteView(der.get(), der_bytes); }
  bool IsCertificate() const;
  bool IsPrivateKey() const;
  bool IsCrl() const;
  /// Returns whether the block holds obsolete key or DH parameters, which have no effect.
  bool IsParameters() const;
};

class PemReader {
 public:
  /// `what` names the text in errors: "the certificate chain". Both must outlive the reader.
  PemReader(absl::string_view pem, absl::string_view what) : pem_(pem), what_(what) {}

  /// Reads the next block; returns false at the end of the text. Accepts byte order marks, CRLF,
  /// trailing blanks and text between blocks. Fails with ErrorCode::kConfiguration and the line for
  /// a "-----BEGIN" inside a line and for a damaged block.
  absl::StatusOr<bool> Next(PemBlock& block);

  /// Makes the error for a block that is not allowed in the text.
  absl::Status Refuse(const PemBlock& block) const;

  /// Names the text and the line of `block`: "the certificate chain, line 3".
  std::string Place(const PemBlock& block) const;

  /// Makes an error that names the text and the line of `block`.
  absl::Status Fail(const PemBlock& block, absl::string_view why) const;

  /// Makes the error for a text without a block of `label`.
  absl::Status Missing(absl::string_view label) const;

 private:
  std::string PlaceAt(size_t line) const;
  absl::Status FailAt(size_t line, absl::string_view why) const;
  absl::Status CheckLineStart(size_t begin) const;
  absl::Status FindEnd(size_t after, const PemBlock& block, size_t& end) const;

  const absl::string_view pem_;
  const absl::string_view what_;
  size_t at_ = 0;
  size_t line_ = 1;  // Line of `at_`.
};

}  // namespace trestle

#endif  // TRESTLE_LIB_PKI_PEM_READER_H_
