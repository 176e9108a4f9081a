// Count, mean and sum of squares about the mean of a set of numbers.
#ifndef KONTEXT_COMPUTE_CPU_MOMENTS_H_
#define KONTEXT_COMPUTE_CPU_MOMENTS_H_

namespace kontext::cpu {

struct Moments {
  double count = 0, mean = 0, squares = 0;

  // The moments of both sets together (Chan, Golub and LeVeque 1979): nothing cancels.
  void Merge(const Moments& other) {
    const double total = count + other.count;
    if (total == 0) return;
    const double delta = other.mean - mean;
    mean += delta * (other.count / total);
    squares += other.squares + delta * delta * (count * other.count / total);
    count = total;
  }
};

}  // namespace kontext::cpu

#endif  // KONTEXT_COMPUTE_CPU_MOMENTS_H_
