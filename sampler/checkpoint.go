package sampler

import (
	"encoding"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"reflect"
)

// A checkpoint is the magic, the settings that shape a run, every chain, and
// a CRC-32 of all that. Numbers are little-endian, 8 bytes each.
const checkpointMagic = "inverse/sampler checkpoint 1\n"

func sealCheckpoint(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

// openCheckpoint returns what is between the magic and the checksum.
func openCheckpoint(b []byte) ([]byte, error) {
	n := len(b) - 4
	if n < len(checkpointMagic) || string(b[:len(checkpointMagic)]) != checkpointMagic {
		return nil, errors.New("sampler: Resume is not a checkpoint of this version")
	}
	if got, want := crc32.ChecksumIEEE(b[:n]), binary.LittleEndian.Uint32(b[n:]); got != want {
		return nil, fmt.Errorf("sampler: Resume is damaged: its checksum is %08x, not %08x", got, want)
	}
	return b[len(checkpointMagic):n], nil
}

// appendState appends the exported fields of what v is or points to.
func appendState(b []byte, v reflect.Value) ([]byte, error) {
	if m, ok := marshaler[encoding.BinaryMarshaler](v); ok {
		data, err := m.MarshalBinary()
		if err != nil {
			return nil, err
		}
		return appendString(b, string(data)), nil
	}
	var err error
	switch v.Kind() {
	case reflect.Bool:
		if v.Bool() {
			return append(b, 1), nil
		}
		return append(b, 0), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return appendUint(b, uint64(v.Int())), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return appendUint(b, v.Uint()), nil
	case reflect.Float32, reflect.Float64:
		return appendUint(b, math.Float64bits(v.Float())), nil
	case reflect.String:
		return appendString(b, v.String()), nil
	case reflect.Slice, reflect.Array:
		b = appendUint(b, uint64(v.Len()))
		for i := 0; i < v.Len() && err == nil; i++ {
			b, err = appendState(b, v.Index(i))
		}
		return b, err
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return append(b, 0), nil
		}
		return appendState(append(b, 1), v.Elem())
	case reflect.Struct:
		for i := 0; i < v.NumField() && err == nil; i++ {
			if saved(v.Type().Field(i)) {
				b, err = appendState(b, v.Field(i))
			}
		}
		return b, err
	}
	return nil, fmt.Errorf("sampler: checkpoint: a state cannot have an exported field of type %v", v.Type())
}

// readState is the inverse of appendState: it sets the exported fields of v,
// whose slices and pointers keep what they refer to where the lengths agree.
func (d *decoder) readState(v reflect.Value) error {
	if v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer && !isUnmarshaler(v) {
		set, err := d.byte()
		if err != nil {
			return err
		}
		if set == 0 {
			if !v.IsNil() {
				v.SetZero()
			}
			return nil
		}
		if v.IsNil() {
			if v.Kind() == reflect.Interface {
				return fmt.Errorf("a %v that this kernel does not have", v.Type())
			}
			v.Set(reflect.New(v.Type().Elem()))
		}
		return d.readState(v.Elem())
	}
	if m, ok := marshaler[encoding.BinaryUnmarshaler](v); ok {
		data, err := d.string()
		if err != nil {
			return err
		}
		return m.UnmarshalBinary([]byte(data))
	}
	switch v.Kind() {
	case reflect.Bool:
		c, err := d.byte()
		v.SetBool(c != 0)
		return err
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		u, err := d.uint()
		v.SetInt(int64(u))
		return err
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		u, err := d.uint()
		v.SetUint(u)
		return err
	case reflect.Float32, reflect.Float64:
		u, err := d.uint()
		v.SetFloat(math.Float64frombits(u))
		return err
	case reflect.String:
		s, err := d.string()
		v.SetString(s)
		return err
	case reflect.Slice, reflect.Array:
		n, err := d.length()
		if err != nil {
			return err
		}
		if n != v.Len() {
			if v.Kind() == reflect.Array {
				return fmt.Errorf("%d elements for a %v", n, v.Type())
			}
			v.Set(reflect.MakeSlice(v.Type(), n, n))
		}
		for i := 0; i < n && err == nil; i++ {
			err = d.readState(v.Index(i))
		}
		return err
	case reflect.Struct:
		for i := 0; i < v.NumField(); i++ {
			if f := v.Type().Field(i); saved(f) {
				if err := d.readState(v.Field(i)); err != nil {
					return fmt.Errorf("%s: %w", f.Name, err)
				}
			}
		}
		return nil
	}
	return fmt.Errorf("a field of type %v", v.Type())
}

// saved reports whether a field is part of a state: it is exported, or an
// embedded struct.
func saved(f reflect.StructField) bool {
	return f.IsExported() || f.Anonymous && f.Type.Kind() == reflect.Struct
}

// marshaler returns v, or its address, as an M.
func marshaler[M any](v reflect.Value) (M, bool) {
	if !v.CanInterface() || v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer && v.IsNil() {
		var none M
		return none, false
	}
	if v.CanAddr() {
		if m, ok := v.Addr().Interface().(M); ok {
			return m, true
		}
	}
	m, ok := v.Interface().(M)
	return m, ok
}

func isUnmarshaler(v reflect.Value) bool {
	_, ok := marshaler[encoding.BinaryUnmarshaler](v)
	return ok
}

func appendUint(b []byte, u uint64) []byte { return binary.LittleEndian.AppendUint64(b, u) }

func appendString(b []byte, s string) []byte { return append(appendUint(b, uint64(len(s))), s...) }

func appendFloats(b []byte, x []float64) []byte {
	for _, v := range x {
		b = appendUint(b, math.Float64bits(v))
	}
	return b
}

// decoder reads a checkpoint. No length is believed that the bytes left
// cannot hold.
type decoder struct{ b []byte }

var errShort = errors.New("it ends too early")

func (d *decoder) byte() (byte, error) {
	if len(d.b) < 1 {
		return 0, errShort
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c, nil
}

func (d *decoder) uint() (uint64, error) {
	if len(d.b) < 8 {
		return 0, errShort
	}
	u := binary.LittleEndian.Uint64(d.b)
	d.b = d.b[8:]
	return u, nil
}

func (d *decoder) length() (int, error) {
	u, err := d.uint()
	if err == nil && u > uint64(len(d.b)) {
		err = errShort
	}
	if err != nil {
		return 0, err
	}
	return int(u), nil
}

func (d *decoder) string() (string, error) {
	n, err := d.length()
	if err != nil {
		return "", err
	}
	s := string(d.b[:n])
	d.b = d.b[n:]
	return s, nil
}

func (d *decoder) floats(dst []float64) error {
	if len(d.b)/8 < len(dst) {
		return errShort
	}
	for i := range dst {
		dst[i] = math.Float64frombits(binary.LittleEndian.Uint64(d.b[8*i:]))
	}
	d.b = d.b[8*len(dst):]
	return nil
}
