package kernel

//go:generate env GOWORK=off go run -C gen . ..
