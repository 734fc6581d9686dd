"""embed.py FILE…: prints C++ with the shipped dialect files, so that the binary needs no folder."""
import pathlib
import sys

print('#include "dialect/shipped.hpp"\n\nnamespace holdfast::dialect {\nnamespace {')
paths = [pathlib.Path(each) for each in sys.argv[1:]]
for number, path in enumerate(paths):
    # Pieces: the standard guarantees 65,536 characters of a literal only.
    text = path.read_text()
    print(f"constexpr char text_{number}[] =")
    for begin in range(0, len(text), 8000):
        print(f'    R"~~~~({text[begin:begin + 8000]})~~~~"')
    print("    ;")
print("constexpr Shipped all[] = {")
for number, path in enumerate(paths):
    print(f'    {{"{path.stem}", text_{number}}},')
print("};\n}\nstd::span<const Shipped> shipped() noexcept { return all; }\n}")
