// The geometry that all convolution kernels share.
//
// x [N, groups · C, H, W] is correlated with w, packed as [groups, KH, KW, C, O] (neighbouring
// threads want neighbouring outputs).  Of N · groups · O images of OH × OW sums, sum (i, j) reads x
// from row i · SY + Y0 and column j · SX + X0 on (outside x are zeros), and belongs at row
// i · DY + top, column j · DX + left of y, [N, groups · O, TH, TW].  A plain convolution has DY = DX
// = 1 and top = left = 0.  A transposed one is a plain one for each residue of the position modulo
// its stride, with those taps that meet a sample there.
#define CONV_PARAMS \
    int N, int C, int H, int W, int OH, int OW, int O, int KH, int KW, int SY, int SX, int Y0, \
        int X0, int TH, int TW, int top, int left, int DY, int DX, int groups

// Where a sum's window begins in x, and where the sum goes in y.
struct Pixel {
    int n, row, column;
    int at;  // in the plane of y
    bool exists;
};

DEVICE Pixel pixel_of(unsigned p, CONV_PARAMS) {
    Pixel pixel;
    pixel.exists = p < (unsigned)N * OH * OW;
    int j = p % OW, i = p / OW % OH;
    pixel.n = p / OW / OH;
    pixel.row = i * SY + Y0;
    pixel.column = j * SX + X0;
    pixel.at = (i * DY + top) * TW + j * DX + left;
    return pixel;
}

#define CONV_ARGS \
    N, C, H, W, OH, OW, O, KH, KW, SY, SX, Y0, X0, TH, TW, top, left, DY, DX, groups

// x of channel c (counted over all groups) under tap (ky, kx) of a pixel's window.
DEVICE real sample(In<real> x, In<real> styles, const Pixel& pixel, int c, int ky, int kx,
                   CONV_PARAMS) {
    int row = pixel.row + ky, column = pixel.column + kx;
    if (!pixel.exists || row < 0 || row >= H || column < 0 || column >= W) return 0;
    int plane = pixel.n * groups * C + c;
    real v = x[((long long)plane * H + row) * W + column];
    return styles ? v * styles[plane] : v;  // StyleGAN2 Eq. 1, on the way in
}

// Finish COUNT sums of output o (counted over all groups), of neighbouring pixels, and store those that
// exist: at once where they lie side by side in y.  With splits > 1, each part of a sum goes to an image
// of its own.
template <int COUNT>
DEVICE void store(const real* sums, const Pixel* pixels, int o, int split, int splits, Out<real> y,
                  CONV_PARAMS, EPILOGUE_PARAMS) {
    int plane = TH * TW, channels = groups * O;
    real v[COUNT];
#pragma unroll
    for (int k = 0; k < COUNT; ++k) {
        v[k] = sums[k];
        if (splits == 1 && pixels[k].exists) {
            v[k] = epilogue(v[k], pixels[k].n, o, channels, pixels[k].at, plane, EPILOGUE_ARGS);
        }
    }
    if (DX == 1 && OW % COUNT == 0 && TW % COUNT == 0 && left % COUNT == 0) {
        long long image = (split * (long long)N + pixels[0].n) * channels + o;
        if (pixels[0].exists) store_some<COUNT>(y, image * plane + pixels[0].at, v);
        return;
    }
#pragma unroll
    for (int k = 0; k < COUNT; ++k) {
        long long image = (split * (long long)N + pixels[k].n) * channels + o;
        if (pixels[k].exists) y[image * plane + pixels[k].at] = v[k];
    }
}
