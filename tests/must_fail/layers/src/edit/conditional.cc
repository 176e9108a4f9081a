// A condition outside of the places for it.
#if defined(__AVX2__)
#endif
