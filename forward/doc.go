// Package forward holds forward models: the operators A of y = A(x) + noise.
package forward
