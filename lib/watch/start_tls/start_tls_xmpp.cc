// XMPP (RFC 6120 5): features, <starttls/>, <proceed/>. Streams have no comments, only one
// declaration at the start, and no entities of their own (11.1). So tags alone define the content.

#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "lib/watch/start_tls/start_tls_script.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

class XmppScript final : public StartTlsScript {
 public:
  explicit XmppScript(absl::string_view server_name) {
    // Server names have no byte that XML must escape.
    const absl::StatusOr<std::string> name = NormalizeServerName(server_name);
    Say(absl::StrCat("<?xml version='1.0'?><stream:stream",
                     name.ok() ? absl::StrCat(" to='", *name, "'") : "",
                     " version='1.0' xmlns='jabber:client'"
                     " xmlns:stream='http://etherx.jabber.org/streams'>"));
  }

  void TakeByte(char byte) override {
    if (tag_.empty()) {
      // Text between tags has no meaning here.
      if (byte == '<') tag_.push_back(byte);
      return;
    }
    if (tag_.size() >= StartTlsDialogue::kMaxLineBytes) {
      return Fail(absl::StrCat("the server sent an XML tag of more than ",
                               StartTlsDialogue::kMaxLineBytes, " bytes"));
    }
    tag_.push_back(byte);
    if (quote_ != 0) {
      if (byte == quote_) quote_ = 0;
    } else if (byte == '\'' || byte == '"') {
      quote_ = byte;
    } else if (byte == '>') {
      TakeTag(std::exchange(tag_, {}));
    }
  }

 private:
  // "features" of "<stream:features>" and of "</stream:features>".
  static absl::string_view LocalName(absl::string_view tag) {
    tag.remove_prefix(absl::StartsWith(tag, "</") ? 2 : 1);
    tag = tag.substr(0, tag.find_first_of(" \t\r\n/>"));
    const size_t colon = tag.find(':');
    return colon == absl::string_view::npos ? tag : tag.substr(colon + 1);
  }

  void TakeTag(const std::string& tag) {
    const absl::string_view name = LocalName(tag);
    const bool ends = absl::StartsWith(tag, "</");
    if (name == "error" || name == "failure" || (name == "stream" && ends)) {
      return FailOn(tag, asked_ ? "<starttls/>" : "an XMPP stream");
    }
    if (!asked_) {
      if (absl::StartsWith(tag, "<?") || name == "stream") return;
      // Only inside the stream's own features.
      in_features_ |= name == "features" && !ends;
      if (!in_features_) return FailOn(tag, "an XMPP stream");
      offered_ |= name == "starttls";
      if (name != "features" || (!ends && !absl::EndsWith(tag, "/>"))) return;
      if (!offered_) return Fail("the server does not offer STARTTLS");
      asked_ = true;
      return Say("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    }
    if (name == "proceed" && !ends) proceeds_ = true;
    if (!proceeds_) return FailOn(tag, "<starttls/>");
    // "<proceed/>", or "<proceed>" and "</proceed>".
    if (ends || absl::EndsWith(tag, "/>")) Finish();
  }

  std::string tag_;  // From '<' on; empty outside of tags.
  char quote_ = 0;   // The quote that ends an attribute's value.
  bool in_features_ = false;
  bool offered_ = false;
  bool asked_ = false;
  bool proceeds_ = false;
};

}  // namespace

std::unique_ptr<StartTlsScript> NewXmppScript(absl::string_view server_name) {
  return std::make_unique<XmppScript>(server_name);
}

}  // namespace trestle
