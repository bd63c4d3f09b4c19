// Command gen writes the assembly of package kernel. Run it with
// go generate in that package.
package main

import (
	"log"
	"os"
	"path/filepath"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("gen: ")
	if len(os.Args) != 2 {
		log.Fatal("usage: gen directory")
	}
	write(os.Args[1], "gemm", (*vec).gemmTiles, (*vec).packing)
	write(os.Args[1], "elementwise", (*vec).elementwiseLoops)
	write(os.Args[1], "reduce", (*vec).reductions, (*vec).columnSums, (*vec).softmax, (*vec).adam)
	write(os.Args[1], "columns", (*vec).softmaxColumns, (*vec).normals)
	write(os.Args[1], "leapfrog", (*vec).leapfrog)
	write(os.Args[1], "winograd", (*vec).winograd)
	writeWinograd(filepath.Join(os.Args[1], "winograd_matrices.go"))
	writeTables(filepath.Join(os.Args[1], "tables_amd64.go"))
}

// write makes the files name_amd64.s and name_amd64.go of the functions.
func write(dir, name string, functions ...func(*vec)) {
	constants = map[string]operand.Mem{}
	c := build.NewContext()
	c.ConstraintExpr("!noasm")
	for _, f := range functions {
		for _, v := range sets(c) {
			f(v)
		}
	}
	file, err := c.Result()
	if list, ok := err.(build.ErrorList); ok {
		for _, e := range list {
			log.Print(e)
		}
	}
	if err != nil {
		log.Fatal(err)
	}
	if err := pass.Compile.Execute(file); err != nil {
		log.Fatal(err)
	}
	cfg := printer.Config{Name: "internal/kernel/gen", Pkg: "kernel"}
	print(filepath.Join(dir, name+"_amd64.s"), printer.NewGoAsm(cfg), file)
	print(filepath.Join(dir, name+"_amd64.go"), printer.NewStubs(cfg), file)
}

func print(path string, p printer.Printer, file *ir.File) {
	b, err := p.Print(file)
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o666); err != nil {
		log.Fatal(err)
	}
}
