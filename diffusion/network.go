package diffusion

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/nn"
)

// Architecture is the network of a learned score: [MLP] or [UNet].
type Architecture interface {
	// resolve fills in defaults and checks them against the dimension n.
	resolve(n int) (Architecture, error)
	// build adds the network to p: a function of n inputs and the features
	// of the noise level, with n outputs.
	build(p *nn.Params[float32], n int) forwarder
	kind() string
}

// forwarder is a network conditioned on the features of the noise level.
type forwarder interface {
	Forward(t *autodiff.Tape[float32], x, features autodiff.Var) autodiff.Var
}

// MLP is a perceptron with SiLU, for data without spatial structure.
type MLP struct {
	Hidden []int // widths of the hidden layers, three of 128 if nil
}

func (MLP) kind() string { return "mlp" }

func (m MLP) resolve(int) (Architecture, error) {
	if m.Hidden == nil {
		m.Hidden = []int{128, 128, 128}
	}
	for i, h := range m.Hidden {
		if h < 1 || h > maxWidth {
			return nil, fmt.Errorf("diffusion: MLP: Hidden[%d] is %d", i, h)
		}
	}
	return m, nil
}

const maxWidth = 1 << 16

func (m MLP) build(p *nn.Params[float32], n int) forwarder {
	return perceptron{nn.NewMLP(p, "net", n+features, n, &nn.MLPOptions{Hidden: m.Hidden, Act: kernel.SiLU, ZeroLast: true})}
}

type perceptron struct{ *nn.MLP[float32] }

func (p perceptron) Forward(t *autodiff.Tape[float32], x, features autodiff.Var) autodiff.Var {
	return p.MLP.Forward(t, t.ConcatCols(x, features))
}

// UNet is a convolutional network for square images of Side×Side pixels, row
// by row from the top, the channels of a pixel side by side.
type UNet struct {
	Side     int
	Channels int   // of the images, 1 if 0
	Patch    int   // side of the squares of pixels that are one pixel to the network, 1 if 0
	Width    int   // channels at the full resolution, 32 if 0
	Mult     []int // channels at each resolution, each of half the side, as multiples of Width; {1, 2} if nil
	Blocks   int   // residual blocks at each resolution, 1 if 0
}

func (UNet) kind() string { return "unet" }

func (u UNet) resolve(n int) (Architecture, error) {
	if u.Channels == 0 {
		u.Channels = 1
	}
	if u.Patch == 0 {
		u.Patch = 1
	}
	if u.Width == 0 {
		u.Width = 32
	}
	if u.Mult == nil {
		u.Mult = []int{1, 2}
	}
	if u.Blocks == 0 {
		u.Blocks = 1
	}
	if u.Side < 1 || u.Side > maxWidth || u.Channels < 1 || u.Channels > maxWidth || u.Side*u.Side*u.Channels != n {
		return nil, fmt.Errorf("diffusion: UNet: %d×%d pixels of %d channels are not the %d columns of the data", u.Side, u.Side, u.Channels, n)
	}
	if u.Patch < 1 || u.Side%u.Patch != 0 {
		return nil, fmt.Errorf("diffusion: UNet: Patch is %d, want a divisor of Side = %d", u.Patch, u.Side)
	}
	if u.Width < 8 || u.Width%8 != 0 || u.Width > maxWidth || u.Blocks < 1 || u.Blocks > 64 || len(u.Mult) > 16 {
		return nil, fmt.Errorf("diffusion: UNet: Width is %d, Blocks %d, want a multiple of 8 and at least 1", u.Width, u.Blocks)
	}
	for i, m := range u.Mult {
		if m < 1 || m > 64 {
			return nil, fmt.Errorf("diffusion: UNet: Mult[%d] is %d", i, m)
		}
	}
	return u, nil
}

func (u UNet) build(p *nn.Params[float32], _ int) forwarder {
	return nn.NewUNet(p, "net", &nn.UNetOptions{H: u.Side, W: u.Side, In: u.Channels, Patch: u.Patch, Width: u.Width, Mult: u.Mult, Blocks: u.Blocks, Context: features})
}

// features is the number of features of the noise level.
const features = 16

// Network is a learned score. With u = (x_t/α - mean)/sd, where sd is the
// standard deviation of all data, and s = σ/(α sd), its denoised mean is
//
//	D = mean + sd (u/(s² + 1) + s/√(s² + 1) F(u/√(s² + 1), log(s)/4)),
//
// the preconditioning of Karras et al. (2022, section 5), and its score
// (αD - x_t)/σ². So one network serves every schedule. It works in float32.
// A product with the Hessian of log p_t is one backward pass.
type Network struct {
	schedule Schedule
	arch     Architecture
	mean     []float64
	sd       float64
	params   *nn.Params[float32]
	net      forwarder
	fourier  *nn.Fourier[float32]
	pool     sync.Pool // *networkAt
}

var _ Score = (*Network)(nil)

func newNetwork(a Architecture, s Schedule, p *nn.Params[float32], mean []float64, sd float64) (*Network, error) {
	w := &Network{schedule: s, arch: a, mean: mean, sd: sd, params: p, fourier: nn.NewFourier[float32](features, 0.5, 4)}
	w.net = a.build(p, len(mean))
	return w, p.Err()
}

// forward returns F for inputs that are already scaled, and the logarithms of
// their noise levels (r×1).
func (w *Network) forward(t *autodiff.Tape[float32], x, logLevel autodiff.Var) autodiff.Var {
	return w.net.Forward(t, x, w.fourier.Forward(t, t.Scale(0.25, logLevel)))
}

// Dim returns the dimension n.
func (w *Network) Dim() int { return len(w.mean) }

// Schedule returns the schedule.
func (w *Network) Schedule() Schedule { return w.schedule }

// Parameters returns the number of weights.
func (w *Network) Parameters() int { return w.params.Len() }

// WithSchedule returns the same network under another schedule.
func (w *Network) WithSchedule(s Schedule) (*Network, error) {
	if err := checkSchedule(s); err != nil {
		return nil, err
	}
	return &Network{schedule: s, arch: w.arch, mean: w.mean, sd: w.sd, params: w.params, net: w.net, fourier: w.fourier}, nil
}

// Score sets the rows of dst to ∇ log p_t. Below the first time of the
// schedule's Span it is that of this time.
func (w *Network) Score(dst, x *mat.Dense, t float64) { w.infer(dst, x, t, true) }

// Denoise sets the rows of dst to E[x₀|x_t].
func (w *Network) Denoise(dst, x *mat.Dense, t float64) { w.infer(dst, x, t, false) }

func (w *Network) infer(dst, x *mat.Dense, t float64, score bool) {
	l, _ := w.pool.Get().(*networkAt)
	if l == nil {
		l = &networkAt{w: w}
	}
	defer w.pool.Put(l)
	l.level(t)
	l.forward(x, false)
	l.emit(dst, x, score)
}

// LinearizeScore returns a workspace.
func (w *Network) LinearizeScore() inverse.ScoreLinearization { return &networkAt{w: w} }

// networkAt is the network at some points.
type networkAt struct {
	w               *Network
	tape            autodiff.Tape[float32]
	in, out         autodiff.Var
	alpha, sigma    float64
	s               float64 // noise level relative to sd
	cIn, skip, gain float64
	cot             []float32
}

// level sets the coefficients of the preconditioning.
func (l *networkAt) level(t float64) {
	lo, _ := l.w.schedule.Span()
	l.alpha, l.sigma = l.w.schedule.At(math.Max(t, lo))
	l.s = l.sigma / (l.alpha * l.w.sd)
	norm := math.Sqrt(l.s*l.s + 1)
	l.cIn, l.skip, l.gain = 1/norm, 1/(norm*norm), l.s/norm
}

func (l *networkAt) forward(x *mat.Dense, differentiable bool) {
	r, n := x.Dims()
	if n != len(l.w.mean) {
		panic(fmt.Sprintf("diffusion: x is %d×%d, the network has dimension %d", r, n, len(l.w.mean)))
	}
	l.tape.Reset(l.w.params.Values, nil)
	if differentiable {
		l.in = l.tape.Variable(r, n)
	} else {
		l.in = l.tape.Input(r, n)
	}
	v := l.tape.Value(l.in)
	for i := range r {
		for j, u := range x.RawRowView(i) {
			v[i*n+j] = float32(l.cIn * (u/l.alpha - l.w.mean[j]) / l.w.sd)
		}
	}
	l.out = l.w.forward(&l.tape, l.in, l.tape.Fill(r, 1, float32(math.Log(l.s))))
}

// emit sets dst to the denoised means, or to the scores (αD - x)/σ².
func (l *networkAt) emit(dst, x *mat.Dense, score bool) {
	r, n := x.Dims()
	f := l.tape.Value(l.out)
	for i := range r {
		row := dst.RawRowView(i)
		for j, u := range x.RawRowView(i) {
			// αD - x = -α s²/(s² + 1) sd u + α sd gain F does not cancel.
			scaled := (u/l.alpha - l.w.mean[j]) / l.w.sd
			if score {
				row[j] = l.alpha * l.w.sd * (l.gain*float64(f[i*n+j]) - l.gain*l.gain*scaled) / (l.sigma * l.sigma)
			} else {
				row[j] = l.w.mean[j] + l.w.sd*(l.skip*scaled+l.gain*float64(f[i*n+j]))
			}
		}
	}
}

func (l *networkAt) Score(dst, x *mat.Dense, t float64) {
	l.level(t)
	l.forward(x, true)
	l.emit(dst, x, true)
}

// VJP sets dst to (gain c_in F'ᵀv - gain² v)/σ².
func (l *networkAt) VJP(dst, v *mat.Dense) {
	r, n := v.Dims()
	if cap(l.cot) < r*n {
		l.cot = make([]float32, r*n)
	}
	cot := l.cot[:r*n]
	for i := range r {
		for j, u := range v.RawRowView(i) {
			cot[i*n+j] = float32(u)
		}
	}
	l.tape.Pullback(l.out, cot)
	g := l.tape.Grad(l.in)
	for i := range r {
		row := dst.RawRowView(i)
		for j, u := range v.RawRowView(i) {
			back := 0.0
			if g != nil {
				back = l.gain * l.cIn * float64(g[i*n+j])
			}
			row[j] = (back - l.gain*l.gain*u) / (l.sigma * l.sigma)
		}
	}
}

// networkConfig is what a file says of a network besides its weights.
type networkConfig struct {
	Mean    []float64
	SD      float64
	Options json.RawMessage // of the architecture
}

const networkKind = "diffusion/"

// Save writes the network as a safetensors file. The schedule is not in it.
func (w *Network) Save(to io.Writer) error {
	c, err := w.config()
	if err != nil {
		return err
	}
	return w.params.Save(to, networkKind+w.arch.kind(), c)
}

func (w *Network) config() (networkConfig, error) {
	options, err := json.Marshal(w.arch)
	if err != nil {
		err = fmt.Errorf("diffusion: %w", err)
	}
	return networkConfig{w.mean, w.sd, options}, err
}

// Load reads a network that [Network.Save] wrote, for use under a schedule.
// The error says what is wrong with the file, whatever is in it.
func Load(r io.Reader, s Schedule) (*Network, error) {
	if err := checkSchedule(s); err != nil {
		return nil, err
	}
	saved, err := nn.Open(r)
	if err != nil {
		return nil, fmt.Errorf("diffusion: Load: %w", err)
	}
	var c networkConfig
	if err := saved.Config(&c); err != nil {
		return nil, fmt.Errorf("diffusion: Load: %w", err)
	}
	w, err := c.restore(saved, networkKind, s)
	if err != nil {
		return nil, fmt.Errorf("diffusion: Load: %w", err)
	}
	return w, nil
}

// restore builds the network of a file of which c is the configuration.
func (c *networkConfig) restore(saved *nn.Saved, kind string, s Schedule) (*Network, error) {
	arch, err := decodeArchitecture(saved.Kind(), kind, c.Options)
	if err != nil {
		return nil, err
	}
	if len(c.Mean) == 0 || !(c.SD > 0) || math.IsInf(c.SD, 1) {
		return nil, fmt.Errorf("the data have dimension %d and standard deviation %g", len(c.Mean), c.SD)
	}
	if arch, err = arch.resolve(len(c.Mean)); err != nil {
		return nil, err
	}
	p := nn.Restore[float32](saved)
	w, err := newNetwork(arch, s, p, c.Mean, c.SD)
	if err != nil {
		return nil, err
	}
	return w, p.Close()
}

func decodeArchitecture(kind, prefix string, options json.RawMessage) (Architecture, error) {
	d := json.NewDecoder(strings.NewReader(string(options)))
	d.DisallowUnknownFields()
	switch name, ok := strings.CutPrefix(kind, prefix); {
	case ok && name == MLP{}.kind():
		var m MLP
		err := d.Decode(&m)
		return m, err
	case ok && name == UNet{}.kind():
		var u UNet
		err := d.Decode(&u)
		return u, err
	}
	return nil, fmt.Errorf("the file has a model of kind %s, want %s", kind, strings.TrimSuffix(prefix, "/"))
}
