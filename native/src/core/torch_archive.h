#pragma once

// A PyTorch checkpoint (*.pt, *.pth) as torch.save has written it since version 1.6: a zip archive
// with a pickle that describes the tensors and a stored record for each storage. Read without
// Python, and without running anything of the pickle.

#include <string>
#include <vector>

#include "core/mapped_file.h"
#include "core/tensor_file.h"
#include "core/zip_file.h"

namespace driftless {

class TorchArchive : public TensorFile {
 public:
  /// Where trainers put the weights inside of what they save, most wanted first.
  static const std::vector<std::string>& usual_sections();

  /// Whether the file begins like a zip archive. Throws Error when it cannot be opened.
  static bool looks_like(const std::string& path);

  /// Throws Error naming file and record or tensor for anything but a complete archive of plain
  /// tensors; see read_torch_pickle() for what is taken from it.
  explicit TorchArchive(const std::string& path,
                        const std::vector<std::string>& sections = usual_sections());

  /// The dictionary that was taken; empty for the outermost one.
  const std::string& section() const { return section_; }

  void check_contents() const override;

 private:
  MappedFile file_;
  ZipFile zip_;
  std::string section_;
};

}  // namespace driftless
