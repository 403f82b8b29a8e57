#include "lib/pki/pem_reader.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/pem.h>

#include <algorithm>
#include <climits>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "trestle/base/error.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

constexpr absl::string_view kBegin = "-----BEGIN";
constexpr absl::string_view kEnd = "-----END";
constexpr absl::string_view kDashes = "-----";
constexpr absl::string_view kByteOrderMark = "\xef\xbb\xbf";

// A SEQUENCE: all DER in PEM begins with one.
constexpr char kDerStart = 0x30;

size_t CountLines(absl::string_view text) {
  return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
}

bool IsUtf16(absl::string_view text) {
  return absl::StartsWith(text, "\xff\xfe") || absl::StartsWith(text, "\xfe\xff");
}

// Advice for a block that no code reads.
absl::string_view AdviceFor(absl::string_view label) {
  if (label == "PKCS7" || label == "CMS" || label == "PKCS #7 SIGNED DATA") {
    return ": take the certificates out of it with \"openssl pkcs7 -print_certs\"";
  }
  if (label == "TRUSTED CERTIFICATE") return ": convert it with \"openssl x509\"";
  if (label == "OPENSSH PRIVATE KEY") return ": convert it with \"ssh-keygen -p -m PKCS8\"";
  if (absl::EndsWith(label, "CERTIFICATE REQUEST"))
    return ": it is a certificate request, not a certificate";
  if (label == PEM_STRING_X509_CRL) return ": revocation lists are given separately";
  return "";
}

// Decodes one block with BoringSSL.
bool Decode(PemBlock& block) {
  if (block.text.size() > INT_MAX) return false;
  bssl::UniquePtr<BIO> bio(BIO_new_mem_buf(block.text.data(), static_cast<int>(block.text.size())));
  char* label = nullptr;
  char* header = nullptr;
  unsigned char* der = nullptr;
  long der_bytes = 0;
  const bool read =
      bio != nullptr && PEM_read_bio(bio.get(), &label, &header, &der, &der_bytes) == 1;
  ERR_clear_error();
  if (!read) return false;
  const bssl::UniquePtr<char> label_owner(label);
  const bssl::UniquePtr<char> header_owner(header);
  block.header = header;
  block.der.reset(der);
  block.der_bytes = static_cast<size_t>(der_bytes);
  return label == block.label;
}

}  // namespace

bool PemBlock::IsCertificate() const {
  return label == PEM_STRING_X509 || label == PEM_STRING_X509_OLD;
}

bool PemBlock::IsPrivateKey() const {
  return label == PEM_STRING_PKCS8 || label == PEM_STRING_PKCS8INF || label == PEM_STRING_EC ||
         label == PEM_STRING_RSA;
}

bool PemBlock::IsCrl() const { return label == PEM_STRING_X509_CRL; }

bool PemBlock::IsParameters() const {
  return label == "EC PARAMETERS" || label == "DH PARAMETERS" || label == "X9.42 DH PARAMETERS";
}

absl::StatusOr<bool> PemReader::Next(PemBlock& block) {
  if (at_ == 0 && IsUtf16(pem_)) return FailAt(1, "is UTF-16 text: save it as ASCII or UTF-8");
  const size_t begin = pem_.find(kBegin, at_);
  if (begin == absl::string_view::npos) return false;
  line_ += CountLines(pem_.substr(at_, begin - at_));
  if (absl::Status start = CheckLineStart(begin); !start.ok()) return start;
  const size_t line_end = std::min(pem_.find('\n', begin), pem_.size());
  absl::string_view label =
      absl::StripTrailingAsciiWhitespace(pem_.substr(begin, line_end - begin));
  if (!absl::ConsumePrefix(&label, "-----BEGIN ") || !absl::ConsumeSuffix(&label, kDashes) ||
      label.empty() || absl::StrContains(label, kDashes)) {
    return FailAt(line_, absl::StrCat("the BEGIN line is malformed: \"",
                                      EscapeForLog(pem_.substr(begin, line_end - begin)), "\""));
  }
  block.label = std::string(label);
  block.line = line_;
  size_t end = 0;
  if (absl::Status ended = FindEnd(line_end, block, end); !ended.ok()) return ended;
  block.text = pem_.substr(begin, end - begin);
  if (!Decode(block)) {
    return Fail(block, absl::StrCat("the PEM block \"", EscapeForLog(label), "\" is damaged"));
  }
  line_ += CountLines(block.text);
  at_ = end;
  return true;
}

absl::Status PemReader::CheckLineStart(size_t begin) const {
  const size_t newline = begin == 0 ? absl::string_view::npos : pem_.rfind('\n', begin - 1);
  const size_t start = newline == absl::string_view::npos ? 0 : newline + 1;
  absl::string_view before = pem_.substr(start, begin - start);
  absl::ConsumePrefix(&before, kByteOrderMark);
  if (before.empty()) return absl::OkStatus();
  if (absl::StartsWith(before, kEnd)) {
    return FailAt(line_, "an END and a BEGIN are on one line: begin a new line between them");
  }
  return FailAt(line_, absl::StrCat("\"-----BEGIN\" doesn't begin its line: \"",
                                    EscapeForLog(before), "\" is before it"));
}

absl::Status PemReader::FindEnd(size_t after, const PemBlock& block, size_t& end) const {
  const std::string damaged =
      absl::StrCat("the PEM block \"", EscapeForLog(block.label), "\" is damaged: ");
  end = pem_.find(kEnd, after);
  if (end == absl::string_view::npos || pem_.find(kBegin, after) < end) {
    return Fail(block, absl::StrCat(damaged, "it has no END line"));
  }
  const std::string wanted = absl::StrCat(kEnd, " ", block.label, kDashes);
  if (!absl::StartsWith(pem_.substr(end), wanted)) {
    const size_t line_end = std::min(pem_.find('\n', end), pem_.size());
    return Fail(block, absl::StrCat(damaged, "it ends with \"",
                                    EscapeForLog(absl::StripTrailingAsciiWhitespace(
                                        pem_.substr(end, line_end - end))),
                                    "\""));
  }
  end += wanted.size();
  return absl::OkStatus();
}

absl::Status PemReader::Refuse(const PemBlock& block) const {
  return Fail(block, absl::StrCat("found a PEM block \"", EscapeForLog(block.label),
                                  "\", which is not used here", AdviceFor(block.label)));
}

std::string PemReader::Place(const PemBlock& block) const { return PlaceAt(block.line); }

absl::Status PemReader::Fail(const PemBlock& block, absl::string_view why) const {
  return FailAt(block.line, why);
}

std::string PemReader::PlaceAt(size_t line) const { return absl::StrCat(what_, ", line ", line); }

absl::Status PemReader::FailAt(size_t line, absl::string_view why) const {
  return ConfigurationError(absl::StrCat(PlaceAt(line), ": ", why));
}

absl::Status PemReader::Missing(absl::string_view label) const {
  const bool der = !pem_.empty() && pem_.front() == kDerStart;
  return ConfigurationError(absl::StrCat(what_, " holds no PEM block \"", label, "\"",
                                         der ? " (is it DER? convert it to PEM)" : ""));
}

}  // namespace trestle
