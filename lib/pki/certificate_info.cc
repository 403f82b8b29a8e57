#include "trestle/pki/certificate_info.h"

#include "absl/strings/str_cat.h"

namespace trestle {
namespace {

void AddNames(absl::string_view kind, const std::vector<std::string>& from,
              std::vector<std::string>& names) {
  for (const std::string& name : from) names.push_back(absl::StrCat(kind, ":", name));
}

}  // namespace

std::vector<std::string> NamesOf(const CertificateInfo& certificate) {
  std::vector<std::string> names = certificate.dns_names;
  for (const auto* more : {&certificate.ip_names, &certificate.uri_names}) {
    names.insert(names.end(), more->begin(), more->end());
  }
  return names;
}

std::vector<std::string> SubjectAltNames(const CertificateInfo& certificate) {
  std::vector<std::string> names;
  AddNames("DNS", certificate.dns_names, names);
  AddNames("IP", certificate.ip_names, names);
  AddNames("URI", certificate.uri_names, names);
  return names;
}

std::string CertificateName(const CertificateInfo& certificate) {
  const std::vector<std::string> names = NamesOf(certificate);
  return names.empty() ? certificate.subject : names.front();
}

}  // namespace trestle
