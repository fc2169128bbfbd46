// Decompression with a bound on the output, and checksums (zlib).

#include "codecs.h"
#include <string.h>
#include <zlib.h>

// zlib counts in unsigned int: larger buffers go through in pieces.
static const size_t largest_piece = (size_t)1 << 30;

static unsigned piece(size_t count) {
  return (unsigned)(count < largest_piece ? count : largest_piece);
}

static int window_bits(codec_wrapping wrapping) {
  switch (wrapping) {
  case CODEC_RAW_DEFLATE: return -15;
  case CODEC_GZIP: return 15 + 16;
  default: return 15;
  }
}

static int only_zeros(const uint8_t *in, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (in[i] != 0) return 0;
  return 1;
}

codec_status codec_inflate(uint8_t *out, size_t capacity, size_t *count, const uint8_t *in,
                           size_t in_count, codec_wrapping wrapping) {
  *count = 0;
  z_stream stream;
  memset(&stream, 0, sizeof stream);
  if (inflateInit2(&stream, window_bits(wrapping)) != Z_OK) return CODEC_MEMORY;

  // A full buffer alone does not tell whether the data end there: one spare byte takes what is too
  // much.
  uint8_t spare;
  size_t read = 0, written = 0;
  codec_status status = CODEC_OK;
  for (;;) {
    const int to_spare = written == capacity;
    const unsigned given = piece(in_count - read);
    const unsigned room = to_spare ? 1 : piece(capacity - written);
    stream.next_in = (Bytef *)(in + read);
    stream.avail_in = given;
    stream.next_out = to_spare ? &spare : out + written;
    stream.avail_out = room;
    const int code = inflate(&stream, Z_NO_FLUSH);
    const unsigned got = room - stream.avail_out;
    read += given - stream.avail_in;
    if (to_spare && got > 0) {
      status = CODEC_FULL;
      break;
    }
    written += got;
    if (code == Z_STREAM_END) {
      if (read == in_count) break;
      if (wrapping != CODEC_GZIP) {
        status = CODEC_BROKEN;
        break;
      }
      if (only_zeros(in + read, in_count - read)) break;
      if (inflateReset(&stream) != Z_OK) {
        status = CODEC_BROKEN;
        break;
      }
    } else if (code == Z_MEM_ERROR) {
      status = CODEC_MEMORY;
      break;
    } else if (code != Z_OK && code != Z_BUF_ERROR) {
      status = CODEC_BROKEN;
      break;
    } else if (read == in_count && got == 0) {
      status = CODEC_TRUNCATED;
      break;
    }
  }
  inflateEnd(&stream);
  *count = written;
  return status;
}

uint32_t codec_crc32(uint32_t crc, const uint8_t *in, size_t count) {
  // zlib takes a null pointer for "give me the initial value".
  return count == 0 ? crc : (uint32_t)crc32_z(crc, in, count);
}
