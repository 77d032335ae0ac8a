# Source patches, applied to copies at configure time: node_modules stays as npm left it.

# ProbationGenerator keeps one packet buffer per thread for all transports, and every new transport
# puts a new random sequence number into it. Older transports' probe packets then jump back and SRTP
# refuses them ("replay check failed (index too old)", in bursts), so they probe no bandwidth. The
# patch gives each generator its own sequence number and writes it before each packet.
function(patch_probation_generator sources)
  set(original ${WORKER}/src/RTC/RTP/ProbationGenerator.cpp)
  file(READ ${original} text)
  set(increment "this->probationPacket->GetSequenceNumber() + 1;")
  string(FIND "${text}" "${increment}" found)
  if(found EQUAL -1)
    message(STATUS "ProbationGenerator differs from the one this patch knows: left as it is")
    return()
  endif()
  string(REPLACE "${increment}" "++sequenceNumbers[this];" text "${text}")
  string(
    REPLACE
      "ProbationGenerator::~ProbationGenerator()\n\t\t{"
      "ProbationGenerator::~ProbationGenerator()\n\t\t{\n\t\t\tsequenceNumbers.erase(this);"
      text "${text}")
  string(
    REPLACE
      "/* Instance methods. */"
      "// Sequence number of each generator of this thread.\n\t\tstatic thread_local std::unordered_map<const ProbationGenerator*, uint16_t> sequenceNumbers;\n\n\t\t/* Instance methods. */"
      text "${text}")
  string(
    REPLACE
      "this->probationPacket->SetSequenceNumber(Utils::Crypto::GetRandomUInt<uint16_t>(0, 65535));"
      "sequenceNumbers[this] = Utils::Crypto::GetRandomUInt<uint16_t>(0, 65535);"
      text "${text}")
  string(REPLACE "#include <vector>" "#include <unordered_map>\n#include <vector>" text "${text}")
  set(patched ${CMAKE_BINARY_DIR}/patched/ProbationGenerator.cpp)
  file(WRITE ${patched} "${text}")
  list(TRANSFORM ${sources} REPLACE "^${original}$" ${patched})
  set(${sources} ${${sources}} PARENT_SCOPE)
endfunction()
