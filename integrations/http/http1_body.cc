#include "integrations/http/http1_body.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace trestle {

void Http1BodyReader::BeginSized(uint64_t bytes) {
  framing_ = Framing::kSized;
  left_ = bytes;
  state_ = bytes > 0 ? State::kReading : State::kComplete;
}

// The reader learns the framing from a head with the one field that it needs.
void Http1BodyReader::BeginChunked(bool from_client) {
  framing_ = Framing::kChunked;
  from_client_ = from_client;
  framing_bytes_ = 0;
  scanner_ = {};
  state_ = State::kReading;
  chunks_.BeginRequest();
  chunks_.Read("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", *this);
}

void Http1BodyReader::BeginUnlimited() {
  framing_ = Framing::kUnlimited;
  state_ = State::kReading;
}

size_t Http1BodyReader::Read(absl::string_view bytes, BodyPipe& pipe) {
  if (state_ != State::kReading || bytes.empty()) return 0;
  switch (framing_) {
    case Framing::kSized: {
      const size_t taken = static_cast<size_t>(std::min<uint64_t>(left_, bytes.size()));
      pipe.Append(bytes.substr(0, taken));
      left_ -= taken;
      if (left_ == 0) Complete(pipe);
      return taken;
    }
    case Framing::kChunked: {
      const size_t taken = ReadChunks(bytes, pipe);
      if (framing_ != Framing::kTrailers) return taken;
      return taken + ReadTrailers(bytes.substr(taken), pipe);
    }
    case Framing::kTrailers:
      return ReadTrailers(bytes, pipe);
    case Framing::kUnlimited:
      pipe.Append(bytes);
      return bytes.size();
  }
  return 0;
}

size_t Http1BodyReader::ReadChunks(absl::string_view bytes, BodyPipe& pipe) {
  const uint64_t before = pipe.passed();
  pipe_ = &pipe;
  const size_t taken = chunks_.Read(bytes, *this);
  pipe_ = nullptr;
  const size_t body = static_cast<size_t>(pipe.passed() - before);
  framing_bytes_ = body > 0 ? 0 : framing_bytes_ + taken;
  if (chunks_.state() == MessageReader::State::kFailed) {
    Fail(400, absl::StrCat("no chunked body: ", chunks_.error()));
  } else if (framing_bytes_ > limits_.chunk_line_bytes) {
    Fail(400, "the bytes between two pieces of a chunked body are over their limit");
  } else if (chunks_.state() == MessageReader::State::kLastChunk) {
    framing_ = Framing::kTrailers;
  }
  return taken;
}

size_t Http1BodyReader::ReadTrailers(absl::string_view bytes, BodyPipe& pipe) {
  HttpRefusal refusal;
  switch (scanner_.Scan(bytes, limits_.head, refusal)) {
    case HeadScanner::State::kNeedMore:
      return 0;
    case HeadScanner::State::kRefused:
      Fail(refusal.status, std::move(refusal.reason));
      return 0;
    case HeadScanner::State::kComplete:
      break;
  }
  const absl::string_view section = bytes.substr(0, scanner_.scanned());
  if (const auto no = CheckTrailers(section, limits_.head); no.has_value() && from_client_) {
    Fail(no->status, no->reason);
    return 0;
  }
  HttpFields trailers;
  for (const absl::string_view line : absl::StrSplit(section, "\r\n", absl::SkipEmpty())) {
    const size_t colon = line.find(':');
    const absl::string_view name = line.substr(0, colon);
    if (colon == absl::string_view::npos || !IsToken(name)) {
      Fail(400, "a trailer line that is no field");
      return 0;
    }
    if (MayTrail(absl::AsciiStrToLower(name))) trailers.Add(name, line.substr(colon + 1));
  }
  Complete(pipe, std::move(trailers));
  return section.size();
}

void Http1BodyReader::OnBody(absl::string_view piece) {
  if (pipe_ != nullptr) pipe_->Append(piece);
}

void Http1BodyReader::ReadEnd(BodyPipe& pipe) {
  if (state_ != State::kReading) return;
  if (framing_ == Framing::kUnlimited) return Complete(pipe);
  Fail(400, "the stream ended in the middle of a body");
}

void Http1BodyReader::Complete(BodyPipe& pipe, HttpFields trailers) {
  state_ = State::kComplete;
  pipe.End(std::move(trailers));
}

void Http1BodyReader::Fail(int status, std::string reason) {
  state_ = State::kFailed;
  refusal_ = {status, std::move(reason)};
}

size_t AppendBody(std::string& out, BodyPipe& pipe, bool chunked, size_t room) {
  const absl::string_view piece = pipe.view().substr(0, room);
  const size_t taken = piece.size();
  if (!piece.empty()) {
    if (chunked) absl::StrAppend(&out, absl::Hex(taken), "\r\n");
    out.append(piece.data(), taken);
    if (chunked) out.append("\r\n");
    pipe.Consume(taken);
  }
  if (!chunked || !pipe.finished()) return taken;
  out.append("0\r\n");
  for (const HttpFields::Field& field : pipe.trailers()) AppendField(out, field.name, field.value);
  out.append("\r\n");
  return taken;
}

void AppendField(std::string& out, absl::string_view name, absl::string_view value) {
  absl::StrAppend(&out, name, ": ", value, "\r\n");
}

bool MayTrail(absl::string_view name) {
  for (const absl::string_view never :
       {"host", "content-length", "transfer-encoding", "connection", "te", "trailer", "upgrade",
        "expect", "cookie", "set-cookie", "authorization", "content-type", "content-encoding",
        "content-range", "cache-control", "location", "keep-alive", "proxy-connection", "date"}) {
    if (name == never) return false;
  }
  return true;
}

}  // namespace trestle
