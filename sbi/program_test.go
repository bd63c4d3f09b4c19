package sbi

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// answerRequests is the program of TestProgram.
func answerRequests() {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var r request
		if err := json.Unmarshal(in.Bytes(), &r); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		switch x := r.Theta[0]; {
		case x < -0.9:
			fmt.Println(`{"error":"no convergence"}`)
		case x < -0.8:
			fmt.Fprintln(os.Stderr, "last words")
			os.Exit(3)
		case x < -0.75:
			fmt.Println(`{"y":[1,null]}`)
		case x < -0.7:
			fmt.Println(`{"y": [NaN, -Infinity]}`)
		case x < -0.65:
			time.Sleep(time.Hour)
		default:
			fmt.Printf("{\"y\":[%g,%d]}\n", x, r.Seed)
		}
	}
}
