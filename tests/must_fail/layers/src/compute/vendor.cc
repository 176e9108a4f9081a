// oneDNN outside of compute/cpu.
#include <oneapi/dnnl/dnnl.hpp>
