/* The mean loss of a small network over many rows, and its gradient: what one writes in C by hand.
 *
 * peers.py compiles it, with the network in macros: -DSIZES=2,16,16,1 -DHIDDEN=RELU
 * -DOUTPUT=LINEAR -DLOSS=HINGE. Parameters and gradient are in the order of nn.MLP: for each
 * layer, for each neuron, its weights and then its bias. A row is the inputs and then the target.
 *
 * Rows are taken in chunks that stay in the cache. In a chunk, what one neuron has for all rows
 * lies side by side, so that every inner loop has a fixed length and consecutive doubles: gcc makes
 * vectors of it, which stay in registers. Two neurons at a time share what is loaded.
 */
#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum { LINEAR, RELU, TANH, SIGMOID };
enum { HINGE, HALF_SQUARE };
enum { LANES = 32, CHUNK = 128, TILE = 2, WIDEST = 256 };

static const int sizes[] = {SIZES};
enum { LAYERS = sizeof sizes / sizeof *sizes - 1 };

/* One number for each row of the chunk. The 8 more keep neurons apart in the cache: at a power of
 * two they would all compete for the same lines. */
typedef double Neuron[CHUNK + 8] __attribute__((aligned(64)));

INLINE double activation(int kind, double z) {
    switch (kind) {
    case RELU: return z > 0 ? z : 0;
    case TANH: return tanh(z);
    case SIGMOID: return 1 / (1 + exp(-z));
    default: return z;
    }
}

INLINE double slope(int kind, double out) {
    switch (kind) {
    case RELU: return out > 0;
    case TANH: return 1 - out * out;
    case SIGMOID: return out * (1 - out);
    default: return 1;
    }
}

/* For `tile` neurons and LANES rows: sum[t] += w[t * next_neuron + i * next_input] * in[i]. */
INLINE void add_weighted(int tile, int inputs, const double *restrict w, int next_neuron,
                         int next_input, const Neuron *restrict in, int row,
                         double (*restrict sum)[LANES]) {
    for (int i = 0; i < inputs; i++)
        for (int t = 0; t < tile; t++)
            for (int k = 0; k < LANES; k++)
                sum[t][k] += w[t * next_neuron + i * next_input] * in[i][row + k];
}

INLINE void forward_tile(int tile, int nin, int padded, const double *restrict w,
                         const Neuron *restrict in, Neuron *restrict out) {
    for (int r = 0; r < padded; r += LANES) {
        double sum[tile][LANES];
        for (int t = 0; t < tile; t++)
            for (int k = 0; k < LANES; k++) sum[t][k] = w[t * (nin + 1) + nin];
        add_weighted(tile, nin, w, nin + 1, 1, in, r, sum);
        for (int t = 0; t < tile; t++)
            for (int k = 0; k < LANES; k++) out[t][r + k] = sum[t][k];
    }
}

INLINE void forward(int nin, int nout, int kind, int rows, int padded, const double *restrict w,
                    const Neuron *restrict in, Neuron *restrict out) {
    int o = 0;
    for (; o + TILE <= nout; o += TILE)
        forward_tile(TILE, nin, padded, w + o * (nin + 1), in, out + o);
    for (; o < nout; o++) forward_tile(1, nin, padded, w + o * (nin + 1), in, out + o);
    for (o = 0; o < nout; o++)
        for (int r = 0; r < rows; r++) out[o][r] = activation(kind, out[o][r]);
}

/* delta, here and below: the derivative by each neuron's sum, before its activation. */
INLINE void backward_tile(int tile, int nin, int nout, int kind, int padded,
                          const double *restrict w, const Neuron *restrict delta,
                          const Neuron *restrict in, Neuron *restrict delta_in) {
    for (int r = 0; r < padded; r += LANES) {
        double sum[tile][LANES];
        memset(sum, 0, sizeof sum);
        add_weighted(tile, nout, w, 1, nin + 1, delta, r, sum);
        for (int t = 0; t < tile; t++)
            for (int k = 0; k < LANES; k++)
                delta_in[t][r + k] = sum[t][k] * slope(kind, in[t][r + k]);
    }
}

INLINE void backward(int nin, int nout, int kind, int padded, const double *restrict w,
                     const Neuron *restrict delta, const Neuron *restrict in,
                     Neuron *restrict delta_in) {
    int i = 0;
    for (; i + TILE <= nin; i += TILE)
        backward_tile(TILE, nin, nout, kind, padded, w + i, delta, in + i, delta_in + i);
    for (; i < nin; i++)
        backward_tile(1, nin, nout, kind, padded, w + i, delta, in + i, delta_in + i);
}

/* The sum over rows of a[row] * b[row]; of a[row] where b is NULL. Eight sums side by side: a
 * compiler may not change the order of additions, so we do. */
INLINE double dot(int padded, const double *restrict a, const double *restrict b) {
    double sum[8] = {0};
    for (int r = 0; r < padded; r += 8)
        for (int k = 0; k < 8; k++) sum[k] += b ? a[r + k] * b[r + k] : a[r + k];
    for (int half = 4; half; half /= 2)
        for (int k = 0; k < half; k++) sum[k] += sum[k + half];
    return sum[0];
}

INLINE void add_gradient(int nin, int nout, int padded, const Neuron *restrict delta,
                         const Neuron *restrict in, double *restrict gradient) {
    for (int o = 0; o < nout; o++, gradient += nin + 1) {
        for (int i = 0; i < nin; i++) gradient[i] += dot(padded, delta[o], in[i]);
        gradient[nin] += dot(padded, delta[o], NULL);
    }
}

double value_and_grad(const double *w, const double *data, long n, double *gradient) {
    static _Thread_local Neuron values[LAYERS + 1][WIDEST], deltas[2][WIDEST];
    const int inputs = sizes[0], width = inputs + 1;
    int count = 0;
    for (int l = 0; l < LAYERS; l++) count += (sizes[l] + 1) * sizes[l + 1];
    memset(gradient, 0, count * sizeof *gradient);
    double total = 0;

    for (long first = 0; first < n; first += CHUNK) {
        const int rows = n - first < CHUNK ? n - first : CHUNK;
        const int padded = (rows + LANES - 1) / LANES * LANES;
        const double *chunk = data + first * width;
        for (int i = 0; i < inputs; i++) {
            for (int r = 0; r < rows; r++) values[0][i][r] = chunk[r * width + i];
            for (int r = rows; r < padded; r++) values[0][i][r] = 0;
        }

        int at = 0; /* where the layer's parameters begin */
#pragma GCC unroll 8
        for (int l = 0; l < LAYERS; l++) {
            forward(sizes[l], sizes[l + 1], l + 1 < LAYERS ? HIDDEN : OUTPUT, rows, padded, w + at,
                    values[l], values[l + 1]);
            at += (sizes[l] + 1) * sizes[l + 1];
        }

        double *delta = deltas[LAYERS % 2][0];
        for (int r = 0; r < rows; r++) {
            const double y = chunk[r * width + inputs], score = values[LAYERS][0][r];
            const double off = LOSS == HINGE ? 1 - y * score : score - y;
            total += LOSS == HINGE ? (off > 0 ? off : 0) : 0.5 * off * off;
            delta[r] = (LOSS == HINGE ? (off > 0 ? -y : 0) : off) * slope(OUTPUT, score) / n;
        }
        for (int r = rows; r < padded; r++) delta[r] = 0;

#pragma GCC unroll 8
        for (int l = LAYERS - 1; l >= 0; l--) {
            at -= (sizes[l] + 1) * sizes[l + 1];
            add_gradient(sizes[l], sizes[l + 1], padded, deltas[(l + 1) % 2], values[l],
                         gradient + at);
            if (l > 0)
                backward(sizes[l], sizes[l + 1], HIDDEN, padded, w + at, deltas[(l + 1) % 2],
                         values[l], deltas[l % 2]);
        }
    }
    return total / n;
}
