// main() of a fuzz target without libFuzzer. It runs the target on the files of the command line,
// on the empty input and on pseudo-random inputs of growing length.

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

std::vector<std::string>& CorpusFiles() {
  static auto* const files = new std::vector<std::string>;
  return *files;
}

void RunOne(const std::string& input) {
  // A heap block of exactly this size lets AddressSanitizer detect a read one byte past the end.
  std::vector<uint8_t> bytes(input.begin(), input.end());
  bytes.shrink_to_fit();
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
}

TEST(FuzzTarget, SurvivesItsCorpus) {
  for (const std::string& file : CorpusFiles()) {
    SCOPED_TRACE(file);
    std::ifstream stream(file, std::ios::binary);
    ASSERT_TRUE(stream.good()) << "cannot read " << file;
    RunOne(std::string(std::istreambuf_iterator<char>(stream), {}));
  }
}

TEST(FuzzTarget, SurvivesNoise) {
  std::mt19937 random(20260526);
  RunOne("");
  for (size_t size = 1; size <= 4096; size *= 2) {
    for (int round = 0; round < 32; ++round) {
      std::string noise(size, '\0');
      for (char& byte : noise) byte = static_cast<char>(random());
      RunOne(noise);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  CorpusFiles().assign(argv + 1, argv + argc);
  return RUN_ALL_TESTS();
}
