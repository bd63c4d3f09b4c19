package kernel

// op is an elementwise function that may have assembly: dst[i] is set from
// a[i], b[i] and the scalars s, t.
type op uint8

const (
	opExp op = iota
	opExpm1
	opLog
	opLog1p
	opSqrt
	opRelu
	opTanh
	opSigmoid
	opSoftplus
	opSilu
	opGelu
	opLogCosh
	opMulReLU // dst = a σ'(b), here and below
	opMulTanh
	opMulSigmoid
	opMulSoftplus
	opMulSiLU
	opMulGELU
	opMulLogCosh
	opAdd // a + b
	opSub
	opMul
	opDiv
	opAddMul      // dst + a b
	opScale       // s a
	opSoftmaxBack // b (a - s)
	opAxpy        // dst + s a
	opCombine     // s a + t b
	numOps
)
