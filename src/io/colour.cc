#include "io/colour.h"

#include <lcms2.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>

#include "io/json.h"

namespace kontext {
namespace {

using Model = RawPicture::Model;

struct Closer {
  void operator()(void* profile) const { cmsCloseProfile(profile); }
};
struct ContextDeleter {
  void operator()(std::remove_pointer_t<cmsContext>* context) const { cmsDeleteContext(context); }
};
struct TransformDeleter {
  void operator()(void* transform) const { cmsDeleteTransform(transform); }
};
using Context = std::unique_ptr<std::remove_pointer_t<cmsContext>, ContextDeleter>;
using Profile = std::unique_ptr<void, Closer>;
using Transform = std::unique_ptr<void, TransformDeleter>;

// Little CMS reports through this; what matters is that the call fails, and nothing is printed.
void LogNothing(cmsContext, cmsUInt32Number, const char*) {}

cmsUInt32Number SpaceOf(Model model) {
  return model == Model::kGrey ? PT_GRAY : model == Model::kRgb ? PT_RGB : PT_CMYK;
}
uint32_t SignatureOf(Model model) {
  return model == Model::kGrey  ? cmsSigGrayData
         : model == Model::kRgb ? cmsSigRgbData
                                : cmsSigCmykData;
}

cmsUInt32Number FormatOf(const RawPicture& raw) {
  const int colours = raw.channels() - (raw.alpha ? 1 : 0);
  return COLORSPACE_SH(SpaceOf(raw.model)) | CHANNELS_SH(static_cast<cmsUInt32Number>(colours)) |
         EXTRA_SH(raw.alpha ? 1U : 0U) |
         BYTES_SH(static_cast<cmsUInt32Number>(raw.bytes_per_sample));
}

// For messages. The text comes from the file.
std::string NameOf(cmsHPROFILE profile) {
  char name[128] = "";
  cmsGetProfileInfoASCII(profile, cmsInfoDescription, "en", "US", name, sizeof(name));
  name[sizeof(name) - 1] = '\0';
  return name[0] == '\0' ? "without a name" : Quoted(name);
}

// gAMA and cHRM (PNG 1.2, 4.2.2) as a profile. A gamma within 5 % of 1/2.2, libpng's own threshold,
// means sRGB's curve: writers put it there for sRGB pictures.
Profile ProfileOf(cmsContext context, const PngColour& colour) {
  const bool usual = std::abs(colour.gamma * 2.2 - 1.0) < 0.05;
  // IEC 61966-2-1: ((v + 0.055) / 1.055)^2.4, below 0.04045 v / 12.92.
  const double srgb[5] = {2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045};
  cmsToneCurve* curve = usual ? cmsBuildParametricToneCurve(context, 4, srgb)
                              : cmsBuildGamma(context, 1.0 / colour.gamma);
  if (curve == nullptr) return nullptr;
  const std::array<double, 8> xy = colour.white_red_green_blue_xy.value_or(
      std::array<double, 8>{0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06});
  const cmsCIExyY white{xy[0], xy[1], 1};
  const cmsCIExyYTRIPLE primaries{{xy[2], xy[3], 1}, {xy[4], xy[5], 1}, {xy[6], xy[7], 1}};
  cmsToneCurve* curves[3] = {curve, curve, curve};
  Profile profile(cmsCreateRGBProfileTHR(context, &white, &primaries, curves));
  cmsFreeToneCurve(curve);
  return profile;
}

Transform MakeTransform(cmsContext context, cmsHPROFILE profile, cmsUInt32Number from,
                        cmsUInt32Number to) {
  const Profile srgb(cmsCreate_sRGBProfileTHR(context));
  if (srgb == nullptr) return nullptr;
  // From 16 bit Little CMS would go through a table of 33^3 colours, up to 8 steps of 255 off in
  // the darks; from 8 bit its shortcuts stay within one.
  const cmsUInt32Number exact = T_BYTES(from) == 2 ? cmsFLAGS_NOOPTIMIZE : 0U;
  return Transform(cmsCreateTransformTHR(context, profile, from, srgb.get(), to, INTENT_PERCEPTUAL,
                                         cmsFLAGS_COPY_ALPHA | exact));
}

// True if the profile moves no colour of a 17^3 grid by more than one step.
bool MeansSrgb(cmsContext context, cmsHPROFILE profile) {
  const Transform transform = MakeTransform(context, profile, TYPE_RGB_8, TYPE_RGB_8);
  if (transform == nullptr) return false;
  constexpr int kSteps = 17;
  for (int i = 0; i < kSteps * kSteps * kSteps; ++i) {
    const auto level = [](int k) { return static_cast<uint8_t>(k * 255 / (kSteps - 1)); };
    const uint8_t in[3] = {level(i % kSteps), level(i / kSteps % kSteps),
                           level(i / kSteps / kSteps)};
    uint8_t out[3] = {};
    cmsDoTransform(transform.get(), in, out, 1);
    for (int c = 0; c < 3; ++c) {
      if (std::abs(in[c] - out[c]) > 1) return false;
    }
  }
  return true;
}

uint8_t To8(uint16_t v) { return static_cast<uint8_t>((v + 128) / 257); }  // round(v / 257)

// a * b / 255, rounded; a and b at most 255.
uint8_t Scale255(int a, int b) { return static_cast<uint8_t>((2 * a * b + 255) / 510); }

Pixels Blank(const RawPicture& raw) {
  Pixels p;
  p.width = raw.width;
  p.height = raw.height;
  p.channels = raw.alpha ? 4 : 3;
  p.data.resize(static_cast<size_t>(p.width) * static_cast<size_t>(p.height) *
                static_cast<size_t>(p.channels));
  return p;
}

// 16 bit to 8, in place.
void Narrow(RawPicture& raw) {
  if (raw.bytes_per_sample == 1) return;
  const size_t n = raw.data.size() / 2;
  for (size_t i = 0; i < n; ++i) {
    uint16_t v = 0;
    std::memcpy(&v, raw.data.data() + 2 * i, 2);
    raw.data[i] = To8(v);
  }
  raw.data.resize(n);
  raw.bytes_per_sample = 1;
}

// Without a profile.
Pixels ConvertPlainly(RawPicture& raw) {
  Narrow(raw);
  if (raw.model == Model::kRgb) {
    return Pixels{raw.width, raw.height, raw.alpha ? 4 : 3, std::move(raw.data)};
  }
  Pixels out = Blank(raw);
  const auto step = static_cast<size_t>(raw.channels());
  const auto out_step = static_cast<size_t>(out.channels);
  const uint8_t* in = raw.data.data();
  for (uint8_t* p = out.data.data(); p != out.data.data() + out.data.size(); p += out_step) {
    for (int c = 0; c < 3; ++c) {
      p[c] = raw.model == Model::kGrey ? in[0] : Scale255(255 - in[c], 255 - in[3]);
    }
    if (raw.alpha) p[3] = in[1];
    in += step;
  }
  return out;
}

// Grey samples, three times each: for profiles that speak of RGB.
void GreyToRgb(RawPicture& raw) {
  const auto sample = static_cast<size_t>(raw.bytes_per_sample);
  const size_t in_step = sample * (raw.alpha ? 2 : 1);
  const size_t n = raw.data.size() / in_step;
  std::vector<uint8_t> rgb;
  rgb.reserve(n * (in_step + 2 * sample));
  for (size_t i = 0; i < n; ++i) {
    const auto grey = raw.data.begin() + static_cast<std::ptrdiff_t>(i * in_step);
    const auto next = grey + static_cast<std::ptrdiff_t>(sample);
    for (int c = 0; c < 3; ++c) rgb.insert(rgb.end(), grey, next);
    rgb.insert(rgb.end(), next, next + static_cast<std::ptrdiff_t>(in_step - sample));
  }
  raw.data = std::move(rgb);
  raw.model = Model::kRgb;
}

// The picture through the transform, rows in parallel (Little CMS allows that). False if there is
// none.
bool Apply(cmsContext context, cmsHPROFILE profile, const RawPicture& raw, Pixels& out) {
  const Transform transform =
      MakeTransform(context, profile, FormatOf(raw), raw.alpha ? TYPE_RGBA_8 : TYPE_RGB_8);
  if (transform == nullptr) return false;
  out = Blank(raw);
  const size_t in_row = static_cast<size_t>(raw.width) * static_cast<size_t>(raw.channels()) *
                        static_cast<size_t>(raw.bytes_per_sample);
  const size_t out_row = static_cast<size_t>(out.width) * static_cast<size_t>(out.channels);
#pragma omp parallel for schedule(static)
  for (int y = 0; y < raw.height; ++y) {
    cmsDoTransform(transform.get(), raw.data.data() + static_cast<size_t>(y) * in_row,
                   out.data.data() + static_cast<size_t>(y) * out_row,
                   static_cast<cmsUInt32Number>(raw.width));
  }
  return true;
}

// A four-letter field of a profile's header (ICC.1, 7.2), read here because Little CMS would hand
// out as an enum whatever the file holds, and such a value must not even be loaded.
uint32_t HeaderField(const std::string& icc, size_t at) {
  if (icc.size() < at + 4) return 0;
  uint32_t field = 0;
  for (size_t i = 0; i < 4; ++i) field = field << 8 | static_cast<uint8_t>(icc[at + i]);
  return field;
}

// Only these classes describe pictures; links and named colours would be applied as something else.
bool DescribesPictures(const std::string& icc) {
  const uint32_t kind = HeaderField(icc, 12);
  return kind == cmsSigInputClass || kind == cmsSigDisplayClass || kind == cmsSigOutputClass ||
         kind == cmsSigColorSpaceClass;
}

// True if the profile was applied and `out` is the picture. False: the samples are to be taken as
// they are, because the profile means sRGB or cannot be used (then with a note).
bool ConvertByProfile(RawPicture& raw, Pixels& out) {
  const Context context(cmsCreateContext(nullptr, nullptr));
  if (context == nullptr) return false;
  cmsSetLogErrorHandlerTHR(context.get(), LogNothing);
  const bool icc = !raw.icc.empty();
  const Profile profile =
      icc ? Profile(cmsOpenProfileFromMemTHR(context.get(), raw.icc.data(),
                                             static_cast<cmsUInt32Number>(raw.icc.size())))
          : ProfileOf(context.get(), *raw.colour);
  const auto unusable = [&] {
    raw.notes.push_back(icc ? "its colour profile cannot be used; taken as sRGB"
                            : "its gAMA and cHRM cannot be used; taken as sRGB");
    return false;
  };
  if (profile == nullptr || (icc && !DescribesPictures(raw.icc))) return unusable();
  const uint32_t space = icc ? HeaderField(raw.icc, 16) : uint32_t{cmsSigRgbData};
  if (space == cmsSigRgbData && raw.model != Model::kCmyk &&
      MeansSrgb(context.get(), profile.get())) {
    return false;
  }
  if (space == cmsSigRgbData && raw.model == Model::kGrey) GreyToRgb(raw);
  if (space != SignatureOf(raw.model)) return unusable();
  if (!Apply(context.get(), profile.get(), raw, out)) return unusable();
  raw.notes.push_back(
      icc ? fmt::format("colour profile {} converted to sRGB", NameOf(profile.get()))
          : fmt::format("gamma {:.5g} converted to sRGB", raw.colour->gamma));
  return true;
}

bool Usable(const PngColour& colour) { return colour.gamma >= 0.05 && colour.gamma <= 20; }

}  // namespace

Result<Pixels> ToSrgb8(RawPicture& raw) {
  if (raw.bytes_per_sample == 2) raw.notes.emplace_back("16 bit rounded to 8");
  if (raw.model == Model::kCmyk) raw.notes.emplace_back("CMYK turned into RGB");
  if (raw.model == Model::kGrey) raw.notes.emplace_back("grey turned into RGB");
  Pixels out;
  const bool has_profile = !raw.icc.empty() || (raw.colour && Usable(*raw.colour));
  if (has_profile && ConvertByProfile(raw, out)) return out;
  return ConvertPlainly(raw);
}

}  // namespace kontext
