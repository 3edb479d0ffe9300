// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stddef.h>

// Memory that holds secrets: kept out of core dumps and swap, wiped before it is given back.
// Every function may be called from any thread.

// Overwrites size octets with zero in a way that no compiler removes.
void secmem_wipe(void *p, size_t size);

// Compares len octets in a time that depends on len only.
bool secmem_equal(const void *a, const void *b, size_t len);

// Reserves size octets of zeroed address space, excluded from core dumps and locked into RAM page
// by page as it is first touched (best effort: RLIMIT_MEMLOCK may forbid the lock). Costs no memory
// until touched. Aligned to a page. Returns NULL with errno set if the space is not to be had.
void *secmem_map(size_t size);

// Octets of the first area that was refused; 0: none was.
size_t secmem_map_refused(void);

// False if any area could not be locked so far.
bool secmem_all_locked(void);

// Keeps memory of another allocator, in whole pages, out of core dumps and swap (best effort).
void secmem_lock(void *p, size_t size);

// Has an area of whole pages that is mapped already, and that others may map as well, excluded and locked the same way.
void secmem_keep(void *p, size_t size);

// Returns a whole area that secmem_map() gave; the kernel drops its pages. NULL is ignored.
void secmem_unmap(void *p, size_t size);

// malloc(), realloc() and free() whose memory is wiped when it is freed or moved: for libraries
// (jansson, libevent) through which secrets pass as text.
void *secmem_malloc(size_t size);
void *secmem_realloc(void *p, size_t size);
void secmem_free(void *p);

// Has OpenSSL take all its memory from these three, and its private keys from a locked heap that no
// core dump has. Before anything of OpenSSL is used, once; false if it is too late or there is no
// room, and then OpenSSL goes on with memory that it does not wipe. Main thread.
bool secmem_serve_openssl(void);
