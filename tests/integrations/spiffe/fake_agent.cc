#include "tests/integrations/spiffe/fake_agent.h"

#include <cstdint>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "trestle/base/error.h"

namespace trestle::testing {
namespace {

std::string Varint(uint64_t value) {
  std::string text;
  for (; value >= 0x80; value >>= 7) text.push_back(static_cast<char>(value | 0x80));
  text.push_back(static_cast<char>(value));
  return text;
}

std::string Framed(absl::string_view message) {
  std::string frame(1, '\0');
  for (int shift = 24; shift >= 0; shift -= 8) {
    frame.push_back(static_cast<char>(message.size() >> shift));
  }
  return absl::StrCat(frame, message);
}

}  // namespace

std::string DerOf(absl::string_view pem) {
  std::string ders;
  std::string base64;
  for (const absl::string_view line : absl::StrSplit(pem, '\n')) {
    if (line.substr(0, 10) == "-----BEGIN") {
      base64.clear();
    } else if (line.substr(0, 8) == "-----END") {
      std::string der;
      EXPECT_TRUE(absl::Base64Unescape(base64, &der));
      ders += der;
    } else {
      absl::StrAppend(&base64, line);
    }
  }
  return ders;
}

LeafSpec SvidSpec(const std::string& id, absl::Time now, absl::Duration lifetime) {
  LeafSpec spec;
  spec.common_name = "workload";
  spec.uri_names = {id};
  spec.both_auths = true;
  spec.not_before = now - absl::Hours(1);
  spec.not_after = spec.not_before + lifetime;
  return spec;
}

WorkloadSvid IssueSvid(const TestPki& ca, const LeafSpec& spec) {
  const PemPair pair = ca.Issue(spec);
  WorkloadSvid svid;
  svid.spiffe_id = spec.uri_names.empty() ? "" : spec.uri_names.front();
  svid.chain_der = DerOf(pair.chain);
  svid.key_der = DerOf(pair.key);
  svid.bundle_der = DerOf(ca.ca_pem());
  return svid;
}

std::string EncodeField(int number, absl::string_view value) {
  return absl::StrCat(Varint(static_cast<uint64_t>(number) << 3 | 2), Varint(value.size()), value);
}

std::string EncodeUpdate(const WorkloadUpdate& update) {
  std::string message;
  for (const WorkloadSvid& svid : update.svids) {
    message +=
        EncodeField(1, absl::StrCat(EncodeField(1, svid.spiffe_id), EncodeField(2, svid.chain_der),
                                    EncodeField(3, svid.key_der), EncodeField(4, svid.bundle_der),
                                    svid.hint.empty() ? "" : EncodeField(5, svid.hint)));
  }
  for (const auto& [domain, bundle] : update.federated_bundles) {
    message += EncodeField(3, absl::StrCat(EncodeField(1, domain), EncodeField(2, bundle)));
  }
  return message;
}

class FakeAgent::Connection final : public HttpWireOwner, public HttpExchange {
 public:
  Connection(FakeAgent& agent, std::unique_ptr<Transport> transport)
      : agent_(agent),
        wire_(agent.turns_, agent.loop_, std::move(transport), *this, /*linger=*/false),
        codec_(limits_, agent, wire_) {
    wire_.Start(codec_);
  }

  void Begin(FrontStream& stream) {
    stream_ = &stream;
    HttpResponse head;
    head.status = agent_.http_status_;
    head.fields.Add("content-type", "application/grpc");
    if (agent_.status_ >= 0) head.fields.Add("grpc-status", absl::StrCat(agent_.status_));
    if (agent_.status_ >= 0) response_body.End();
    if (!agent_.message_.empty()) response_body.Append(Framed(agent_.message_));
    stream_->SendResponse(head);
  }

  void Send(absl::string_view bytes) {
    if (stream_ == nullptr) return;
    response_body.Append(bytes);
    stream_->OnResponseBody();
  }

  void End(int status, const std::string& message) {
    if (stream_ == nullptr) return;
    HttpFields trailers;
    trailers.Add("grpc-status", absl::StrCat(status));
    trailers.Add("grpc-message", message);
    response_body.End(std::move(trailers));
    stream_->OnResponseBody();
  }

  void Cut() {
    stream_ = nullptr;
    wire_.Abort();
  }

  bool open() const { return stream_ != nullptr; }

 private:
  friend class FakeAgent;

  void OnWireOver(const absl::Status&) override { stream_ = nullptr; }
  void OnRequestBody() override {}
  void OnRequestRefused(HttpRefusal) override {}
  void OnResponseTaken(size_t) override {}
  void OnClientGone(const absl::Status&) override { stream_ = nullptr; }
  void OnResponseSent() override { stream_ = nullptr; }
  void OnRequestTaken(size_t) override {}
  void OnInformational(HttpResponse) override {}
  void OnResponse(HttpResponse) override {}
  void OnResponseBody() override {}
  void OnBackDone() override {}
  void OnBackFailed(BackFailure, const absl::Status&) override {}

  FakeAgent& agent_;
  const HttpLimits limits_;
  HttpWire wire_;
  Http2Server codec_;
  FrontStream* stream_ = nullptr;
};

FakeAgent::FakeAgent(SimulatedLoop& loop, MemoryDialer& dialer, const Endpoint& endpoint)
    : loop_(loop), dialer_(dialer), endpoint_(endpoint) {
  Listen();
}

FakeAgent::~FakeAgent() = default;

void FakeAgent::Listen() {
  dialer_.Listen(endpoint_, [this](std::unique_ptr<Transport> transport) {
    const TurnQueue::Turn turn(turns_);
    connections_.push_back(std::make_unique<Connection>(*this, std::move(transport)));
  });
}

void FakeAgent::Leave() {
  for (const auto& connection : connections_) connection->Cut();
  connections_.clear();
  requests_.clear();
  dialer_.Refuse(endpoint_,
                 MakeError(ErrorCode::kTransport, Phase::kDial, "the socket is not there"));
}

void FakeAgent::SayBytes(std::string message) {
  message_ = std::move(message);
  SendRaw(Framed(message_));
}

void FakeAgent::SendRaw(absl::string_view bytes) {
  const TurnQueue::Turn turn(turns_);
  for (const auto& connection : connections_) connection->Send(bytes);
}

void FakeAgent::EndCalls(int status, const std::string& message) {
  const TurnQueue::Turn turn(turns_);
  for (const auto& connection : connections_) connection->End(status, message);
}

size_t FakeAgent::open_calls() const {
  size_t open = 0;
  for (const auto& connection : connections_) open += connection->open() ? 1 : 0;
  return open;
}

HttpExchange* FakeAgent::OnRequest(FrontStream& stream, HttpRequest request) {
  requests_.push_back(std::move(request));
  // The latest connection is the only one without a call.
  Connection& connection = *connections_.back();
  loop_.PostFromAnyThread([this, &connection, &stream] {
    const TurnQueue::Turn turn(turns_);
    connection.Begin(stream);
  });
  return &connection;
}

HttpExchange* FakeAgent::OnRefused(FrontStream& stream, HttpRequest request, HttpRefusal refusal) {
  ADD_FAILURE() << refusal.reason;
  return OnRequest(stream, std::move(request));
}

}  // namespace trestle::testing
