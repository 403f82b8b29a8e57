# Reads the bodies of a corpus as Rack; see python_parsers.py.
require "json"
require "rack"
require "stringio"

def flatten(value, found)
  case value
  when Hash
    return found << value[:name].to_s << value[:filename].to_s if value.key?(:tempfile)

    value.each do |key, inner|
      found << key.to_s
      flatten(inner, found)
    end
  when Array then value.each { |inner| flatten(inner, found) }
  else found << value.to_s
  end
end

corpus = File.binread(ARGV[0])
at = 0
while at < corpus.bytesize
  type_bytes, body_bytes = corpus.byteslice(at, 8).unpack("NN")
  type = corpus.byteslice(at + 8, type_bytes)
  body = corpus.byteslice(at + 8 + type_bytes, body_bytes)
  at += 8 + type_bytes + body_bytes
  env = { "REQUEST_METHOD" => "POST", "PATH_INFO" => "/", "CONTENT_LENGTH" => body.bytesize.to_s,
          "rack.input" => StringIO.new(body) }
  env["CONTENT_TYPE"] = type unless type.empty?
  found = []
  begin
    flatten(Rack::Request.new(env).POST, found)
    flatten(JSON.parse(body), found) if type.include?("json")
  rescue StandardError # The application responds with an error.
    found = []
  end
  text = found.map(&:b).join("\0").unpack1("H*")
  puts(text.empty? ? "-" : text)
end
