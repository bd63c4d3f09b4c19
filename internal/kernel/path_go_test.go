//go:build !amd64 || noasm

package kernel

import "testing"

func forEachPath(t *testing.T, f func(t *testing.T)) { t.Run("go", f) }

func usePath(name string) bool { return name == "go" }

func resetPath() {}
