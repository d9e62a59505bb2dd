#!/usr/bin/env python3
# lay.py - lays src/lua out in rooms: moves and cuts files, makes headers.
# SPDX-License-Identifier: MIT
#
#   lay.py TREE apply             changes the tree; see README.md
#   lay.py TREE chunks FILE ...   shows the pieces that a file consists of
import os,re,sys,subprocess,collections,tempfile
HERE=os.path.dirname(os.path.abspath(__file__))
SCRATCH=tempfile.mkdtemp()+'/piece.c'
tree=sys.argv[1]; os.chdir(tree)
L='src/lua/'
# -- whole files: old -> new -------------------------------------------------
MOVE={
 'compat.c':'compat/compat.c','compat.h':'compat/compat.h',
 'handle.c':'state/handle.c','handle.h':'state/handle.h','anchor.c':'state/anchor.c','newstate.c':'state/memory.c','ltask.h':'state/ltask.h','state.h':'state/state.h','state.c':'state/state.c',
 'wire.h':'transfer/wire.h','scalar.h':'transfer/scalar.h','quick.h':'transfer/number.h','packer.h':'transfer/packer.h','pack.h':'transfer/pack.h','pack.c':'transfer/pack.c','encode.c':'transfer/encode.c','encoder.c':'transfer/encoder.c','encoder.h':'transfer/encoder.h','decode.c':'transfer/decode.c','tree.c':'transfer/tree.c','tree.h':'transfer/tree.h','seen.c':'transfer/memo.c','seen.h':'transfer/memo.h','path.c':'transfer/path.c','path.h':'transfer/path.h','words.c':'transfer/strcache.c','words.h':'transfer/strcache.h','strings.c':'transfer/sharedstr.c','strings.h':'transfer/sharedstr.h','names.c':'transfer/names.c','names.h':'transfer/names.h','code.c':'transfer/bytecode.c','code.h':'transfer/bytecode.h','closure.c':'transfer/closure.c','closure.h':'transfer/closure.h','factory.c':'transfer/factory.c','factory.h':'transfer/factory.h','fixed.c':'transfer/fixed.c','fixed.h':'transfer/fixed.h','moved.c':'transfer/transferable.c','moved.h':'transfer/transferable.h',
 'budget.c':'stop/budget.c','cancel.c':'stop/cancel.c','guard.c':'stop/scope.c','watchdog.c':'stop/watchdog.c','hook.c':'stop/preempt.c','stop.c':'stop/stop.c',
 'task.c':'task/run.c','starting.c':'task/pending.c','outcome.c':'task/outcome.c','report.c':'task/failure.c','park.c':'task/park.c','deliver.c':'task/resume.c','deliver.h':'task/deliver.h','coroutine.c':'task/coroutine.c',
 'limited.c':'session/limited.c','limited.h':'session/limited.h','exec.c':'session/exec.c','misuse.c':'lib/misuse.c','misuse.h':'lib/misuse.h','options.c':'session/options.c','options.h':'session/options.h','library.c':'session/library.c','library.h':'session/library.h','lib_math.c':'session/lib_math.c','lib_os.c':'session/lib_os.c','package.c':'session/package.c','package.h':'session/package.h','message.h':'transfer/packed.h','load.c':'session/load.c','load.h':'session/load.h','argument.c':'state/argument.c','argument.h':'state/argument.h','collect.c':'compat/collect.c','collect.h':'compat/collect.h','builtin.c':'state/builtin.c','builtin.h':'state/builtin.h','lib_casting.c':'lib/lib_casting.c','lib_chan.c':'lib/lib_chan.c','lib_select.c':'lib/lib_select.c','lib_task.c':'lib/lib_task.c','lib_session.c':'lib/lib_session.c','lib_message.c':'lib/lib_message.c','lib_host.c':'lib/lib_host.c','link.c':'lib/lib_link.c','monitor.c':'lib/lib_monitor.c','survey.c':'lib/lib_report.c','survey.h':'lib/lib_report.h','embed.c':'lib/embed.c','embed.h':'lib/embed.h','embedded.c':'lib/embedded.c','starve.c':'lib/starve.c','lib.h':'lib/lib.h','tree_':'x',
 'api.h':'api/api.h','api_chan.c':'api/api_chan.c','api_lua.c':'api/api_lua.c','api_message.c':'api/api_message.c','api_read.c':'api/api_read.c','api_session.c':'api/api_session.c',
}
del MOVE['tree_']
def sh(*a): return subprocess.run(a,capture_output=True,text=True,check=True).stdout
have=[f for f in os.listdir(L) if f.endswith(('.c','.h'))]
extra=[f for f in have if f not in MOVE]
print('not mapped:',extra)

# -- chunks -------------------------------------------------------------------
def chunks(text):
    """top-level pieces of a C file after its opener and includes: list of (names, text)"""
    lines=text.split('\n'); n=len(lines); i=0
    # opener comment
    assert lines[0].startswith('/*')
    while '*/' not in lines[i]: i+=1
    i+=1
    head_end=i
    out=[]; pend=[]
    def is_inc(l): return re.match(r'\s*#\s*include',l)
    while i<n:
        l=lines[i]
        if not l.strip():
            if pend and pend[0].startswith('/* --'): pend=[]   # ruler
            elif pend: out.append(('comment','\n'.join(pend))); pend=[]
            i+=1; continue
        if is_inc(l): i+=1; pend=[]; continue
        if l.startswith('/*'):
            j=i
            while '*/' not in lines[j]: j+=1
            pend+=lines[i:j+1]; i=j+1; continue
        j=i
        if re.match(r'#\s*if',l):
            depth=0
            while True:
                if re.match(r'\s*#\s*if',lines[j]): depth+=1
                if re.match(r'\s*#\s*endif',lines[j]): depth-=1
                j+=1
                if depth==0: break
        elif l.startswith('#'):
            while lines[j].endswith('\\'): j+=1
            j+=1
        else:
            # statement or definition: until ';' at depth 0 or '}' at column 0
            depth=0; done=False
            while not done:
                code=re.sub(r'/\*.*?\*/','',lines[j]); code=re.sub(r'"(\\.|[^"\\])*"','""',code); code=re.sub(r"'(\\.|[^'\\])'","' '",code)
                code=code.split('//')[0]
                if '/*' in code:
                    code=code[:code.index('/*')]
                    k=j
                    while '*/' not in lines[k+0] or k==j and '*/' not in lines[j]:
                        k+=1
                        if '*/' in lines[k]: break
                    j=k
                for c in code:
                    if c in '{(': depth+=1
                    elif c in '})': depth-=1
                if (depth==0 and code.rstrip().endswith((';','}'))) or lines[j].startswith('}'): done=True
                j+=1
        out.append((None,'\n'.join(pend+lines[i:j]))); pend=[]; i=j
    return '\n'.join(lines[:head_end]),out
def names_of(chunk):
    t=re.sub(r'/\*.*?\*/','',chunk,flags=re.S)
    t=re.sub(r'"(\\.|[^"\\])*"','""',t)
    open(SCRATCH,'w').write(t+'\n')
    o=subprocess.run(['ctags','-x','--c-kinds=pfvstdeugx','--language-force=C',SCRATCH],capture_output=True,text=True).stdout
    r=[]
    for l in o.split('\n'):
        w=l.split()
        if len(w)>1 and not w[0].startswith('__anon'): r.append((w[0],w[1]))
    return r
if len(sys.argv)>2 and sys.argv[2]=='chunks':
    for f in sys.argv[3:]:
        h,c=chunks(open(L+f).read())
        print('==',f)
        for k,t in c: print(k,[a for a,b in names_of(t)][:6],len(t.split('\n')))
    sys.exit()

# -- splits: new file -> (opener text, [(old file, [names])]) -------------------
exec(open(HERE+'/plan.py').read())

def norm_includes(p): pass
DROP=[]
src={}      # new path -> [opener, [chunk,...]]
hdr={}      # new path -> text (whole headers that move)
for f,new in MOVE.items():
    if not os.path.exists(L+f): continue
    t=open(L+f).read()
    if f.endswith('.h') or f=='embedded.c': hdr[new]=t; continue
    op,ch=chunks(t)
    src[new]=[op,[c for k,c in ch],f]
# move chunks
for new,(opener,froms) in SPLITS.items():
    got=[]
    for old,names in froms:
        o=MOVE[old]
        keep=[]
        want=list(names)
        for c in src[o][1]:
            ns=[a for a,b in names_of(c)]
            hit=[n for n in want if n in ns or (n.startswith('=') and n[1:] in c)]
            if hit: got.append((min(want.index(h) for h in hit),old,c)); [want.remove(h) for h in hit if h in want]
            else: keep.append(c)
        if want: print('NOT FOUND in',old,':',want)
        src[o][1]=keep
    if new in src: src[new][1]+= [c for _,_,c in got]
    else: src[new]=[opener,[c for _,_,c in got],None]
for new,op in OPENERS.items(): src[new][0]=op.strip()
# -- header groups of state.h --------------------------------------------------
st=hdr['state/state.h']
i=st.index('/* -- state.c ---'); body=st[i:st.rindex('#endif')]; st=st[:i]
def groups(body):
    lines=body.split('\n'); out=[]; cur=[]; i=0; last_comment=False
    while i<len(lines):
        l=lines[i]
        if l.startswith('/* --'):
            if cur: out.append('\n'.join(cur)); cur=[]
            i+=1; continue
        if not l.strip():
            if cur: out.append('\n'.join(cur)); cur=[]
            i+=1; continue
        if l.startswith('/*'):
            if cur: out.append('\n'.join(cur)); cur=[]
            j=i
            while '*/' not in lines[j]: j+=1
            cur=lines[i:j+1]; i=j+1; continue
        j=i
        if re.match(r'#\s*if',l):
            d=0
            while True:
                if re.match(r'\s*#\s*if',lines[j]): d+=1
                if re.match(r'\s*#\s*endif',lines[j]): d-=1
                j+=1
                if d==0: break
        elif l.startswith('#'):
            while lines[j].endswith('\\'): j+=1
            j+=1
        else:
            d=0
            while True:
                code=re.sub(r'/\*.*?\*/','',lines[j]); code=code.split('/*')[0] if '*/' not in code else code
                d+=sum(c in '{(' for c in code)-sum(c in '})' for c in code)
                j+=1
                if d==0 and (code.rstrip().endswith(';') or code.startswith('}')): break
        if l.startswith('extern') and cur and not cur[-1].endswith('*/'): out.append('\n'.join(cur)); cur=[]
        cur+=lines[i:j]; i=j
    if cur: out.append('\n'.join(cur))
    return out
definer={}
for new,(op,ch,_) in src.items():
    for c in ch:
        for a,b in names_of(c):
            if b in('function','variable') and not re.search(r'^\s*static',re.sub(r'/\*.*?\*/','',c,flags=re.S).strip()): definer.setdefault(a,new)
            elif b in ('function','variable') and a.startswith('cast'): definer.setdefault(a,new)
newh=collections.OrderedDict()
for g in groups(body):
    ns=[a for a,b in names_of(g)]
    to=None
    for n in ns:
        if n in GROUPS: to=GROUPS[n]; break
    if not to:
        for n in ns:
            if n in definer: to=definer[n][:-2]+'.h'; break
    if not to: print('GROUP?',ns,g[:80]); continue
    newh.setdefault(to,[]).append(g)
for to,gs in list(newh.items()):
    if to=='state/state.h': st+='\n'.join(gs)+'\n'; continue
hdr['state/state.h']=st.rstrip()+'\n\n#endif\n'
for to,gs in newh.items():
    if to=='state/state.h': continue
    if to in hdr:
        h=hdr[to]; k=h.rindex('\n#endif'); hdr[to]=h[:k].rstrip()+'\n\n'+'\n'.join(gs)+'\n'+h[k:]
    else:
        base=to[:-2]; one=src[base+'.c'][0].split('\n')[0] if base+'.c' in src else '/* %s - ?'%os.path.basename(to)
        desc=one[one.index(' - ')+3:]
        guard='CAST_'+os.path.basename(base).upper()+'_H'
        hdr[to]='/* %s - %s\n   SPDX-License-Identifier: MIT */\n#ifndef %s\n#define %s\n\n@INC@\n%s\n\n#endif\n'%(os.path.basename(to),desc,guard,guard,'\n'.join(gs))
# inlines of handles go to handle.h
st=hdr['state/state.h']
a=st.index('/* The slot of `sure` for a handle'); b=st.index('#endif',a)
inl=st[a:b].rstrip(); hdr['state/state.h']=st[:a].rstrip()+'\n\n'+st[b:]
h=hdr['state/handle.h']; k=h.rindex('\n#endif'); hdr['state/handle.h']=h[:k].rstrip()+'\n\n'+inl+'\n'+h[k:]
for f,ds in DECL.items():
    if f not in hdr:
        base=f[:-2]; one=src[base+'.c'][0].split('\n')[0]; desc=one[one.index(' - ')+3:]; guard='CAST_'+os.path.basename(base).upper()+'_H'
        hdr[f]='/* %s - %s\n   SPDX-License-Identifier: MIT */\n#ifndef %s\n#define %s\n\n@INC@\n\n#endif\n'%(os.path.basename(f),desc.replace('*/','').strip(),guard,guard)
    h=hdr[f]; k=h.rindex('\n#endif'); hdr[f]=h[:k].rstrip()+'\n'+'\n'.join(ds)+'\n'+h[k:]
for f,edits in TEXT.items():
    tgt = hdr if f in hdr else None
    for a,b in edits:
        if tgt is not None:
            if a not in hdr[f]: print('TEXT?',f,a[:60]); continue
            hdr[f]=hdr[f].replace(a,b)
        else:
            s=src[f]; ok=False
            for k,c in enumerate(s[1]):
                if a in c: s[1][k]=re.sub((r'\b' if re.match(r'\w',a) else '')+re.escape(a),lambda m:b,c); ok=True
            if a in s[0]: s[0]=s[0].replace(a,b); ok=True
            if not ok: print('TEXT?',f,a[:60])
for new in [n for n,(op,ch,_) in src.items() if not [c for c in ch if names_of(c)]]:
    print('empty',new); del src[new]; DROP.append(new)
# -- write ----------------------------------------------------------------------
out={}
for new,(op,ch,old) in src.items():
    out[new]=op.rstrip()+'\n@INC@\n'+'\n\n'.join(ch).rstrip()+'\n'
for new,t in hdr.items(): out[new]=t
print(len(out),'files;', sum(1 for f in out if f.endswith('.h')),'headers')
for f in sorted(out): print(f,len(out[f].split('\n')))
print({k:len(v) for k,v in newh.items()})
if sys.argv[2]!='apply': sys.exit()
# -- includes -------------------------------------------------------------------
def strip(t):
    t=re.sub(r'/\*.*?\*/',' ',t,flags=re.S); t=re.sub(r'^\s*#\s*include.*$','',t,flags=re.M)
    return re.sub(r'"(\\.|[^"\\])*"','""',t)
where={}
def learn(path,text):
    for a,b in names_of(re.sub(r'^\s*#\s*include.*$','',text.replace('@INC@',''),flags=re.M)):
        if re.match(r'(cast|CAST|casting|CASTING|WIRE|wire|os_|OS_|API_|api_|luaL_|lua_|LUA_)',a) and not a.endswith('_H'):
            if a in where and where[a]!=path and not (b in ('prototype','externvar')) : pass
            where.setdefault(a,path)
core=[f for f in os.listdir('src') if f.endswith('.h')]
# complete types first: structs defined win over forward typedefs
def learn_all():
    for f in sorted(out):
        if f.endswith('.h'): learn('src/lua/'+f,out[f])
    for f in core: learn('src/'+f,open('src/'+f).read())
    learn('src/os/os.h',open('src/os/os.h').read())
    learn('include/casting.h',open('include/casting.h').read())
learn_all()
for k,v in WHERE.items(): where[k]=v
sysinc={'math.h':r'\b(floor|ceil|HUGE_VAL|fmod|pow|signbit|isnan|isinf|isfinite|ldexp|frexp)\b','stdio.h':r'\b(snprintf|fprintf|stderr|FILE|fputs|fwrite|fflush)\b','stdlib.h':r'\b(getenv|abort|malloc|free|strtod)\b','limits.h':r'\b(INT_MAX|UINT_MAX|CHAR_BIT|UCHAR_MAX)\b','luajit.h':r'\bluaJIT_|LUAJIT_','float.h':r'\bDBL_','string.h':r'\b(memcpy|strlen|strcmp|memcmp|memset|memmove|strncmp|strchr|strrchr|strstr|memchr)\b'}
osys={}
for f,new in MOVE.items():
    if os.path.exists(L+f): osys[new]=set(re.findall(r'^\s*#\s*include\s*<(.*?)>',open(L+f).read(),flags=re.M))
def includes(path,text):
    code=strip(text); me='src/lua/'+path
    if path.endswith('.h'): code=re.sub(r'\bstruct (cast_\w+)\b','',code)
    ids=set(re.findall(r'\b[A-Za-z_]\w*\b',code))
    need=set()
    for a in ids:
        if a in where and where[a]!=me: need.add(where[a])
    if re.search(r'\b(lua_|luaL_|LUA_)',code): need.add('src/lua/compat/compat.h')
    own=path[:-2]+'.h'
    own='src/lua/'+own if path.endswith('.c') and own in out else None
    need.discard(own); need.discard('src/lua/lib/embedded.h')
    need-={'src/lua/'+b for a,b in NOINC if a==path}
    need|=set(FORCE.get(path,[]))
    d=os.path.dirname(me)
    rel=sorted(os.path.relpath(n,d) for n in need)
    r=''
    if own: r+='#include "%s"\n'%os.path.basename(own)
    sy=[]
    src_old=[o for o,n in MOVE.items() if n==path]
    cand=osys.get(path,set()) | ({h for h in ('math.h','stdio.h','stdlib.h','limits.h')} )
    for h in sorted(cand):
        if h in sysinc:
            if re.search(sysinc[h],code) and not (h=='string.h'): sy.append(h)
        else: sy.append(h)
    if 'luajit.h' in sy: sy.remove('luajit.h'); jit=True
    else: jit=False
    if rel: r+=('\n' if own else '')+''.join('#include "%s"\n'%x for x in rel)
    if sy: r+='\n'+''.join('#include <%s>\n'%x for x in sy)
    if jit: r+='\n#if CAST_LUAJIT\n#include <luajit.h>\n#endif\n'
    return r
def finish(path,t):
    if path.endswith('.c') and '@INC@' in t: return t.replace('@INC@\n',includes(path,t)+'\n',1)
    if path.endswith('.h'):
        if '@INC@' not in t:
            # replace the block of includes
            m=list(re.finditer(r'^#include.*\n',t,flags=re.M))
            if m:
                t=t[:m[0].start()]+'@INC@\n'+re.sub(r'^#include.*\n','',t[m[0].start():],flags=re.M)
            else:
                k=re.search(r'#define CAST_\w+_H\n',t).end(); t=t[:k]+'\n@INC@\n'+t[k:]
        return t.replace('@INC@\n',includes(path,t)+'\n',1)
    return t
back={n:o for o,n in MOVE.items()}
for f in list(out):
    t=out[f]; b=os.path.basename(f)
    if f in back and os.path.basename(back[f])!=b and t.startswith('/* '+os.path.basename(back[f])):
        t='/* '+b+t[3+len(os.path.basename(back[f])):]
        if b.endswith('.h'): t=t.replace('CAST_'+os.path.basename(back[f])[:-2].upper()+'_H','CAST_'+b[:-2].upper()+'_H')
    out[f]=t
for f in list(out): out[f]=finish(f,out[f])
# -- to disk --------------------------------------------------------------------
for f,new in MOVE.items():
    if os.path.exists(L+f):
        os.makedirs(L+os.path.dirname(new),exist_ok=True)
        sh('git','mv',L+f,L+new)
for f in DROP: sh('git','rm','-qf',L+f)
for f,t in out.items():
    os.makedirs(L+os.path.dirname(f),exist_ok=True)
    open(L+f,'w').write(re.sub(r'\n{3,}','\n\n',t))
sh('git','add','-A',L)
# -- build files, tools, tests ---------------------------------------------------
def edit(f,*prs):
    if not os.path.exists(f): print('no',f); return
    s=open(f).read()
    for a,b in prs:
        if a not in s: print('EDIT?',f,a[:70]); continue
        s=s.replace(a,b)
    open(f,'w').write(s)
edit('CMakeLists.txt',('CONFIGURE_DEPENDS src/lua/*.c)','CONFIGURE_DEPENDS src/lua/*/*.c)'),('system layer, src/lua/*.c the binding.','system layer, src/lua/*/*.c the binding.'),('src/lua/embedded.c','src/lua/lib/embedded.c'),('src/lua/NAME.c exists','src/lua/ROOM/NAME.c exists'))
edit('cmake/tests.cmake',('''    if(name MATCHES "^lua_" OR (EXISTS ${CMAKE_SOURCE_DIR}/src/lua/${name}.c
        AND NOT EXISTS ${CMAKE_SOURCE_DIR}/src/${name}.c))''','''    file(GLOB of_binding ${CMAKE_SOURCE_DIR}/src/lua/*/${name}.c)
    if(name MATCHES "^lua_" OR of_binding)'''))
edit('tools/embed.sh',('src/lua/embedded.c','src/lua/lib/embedded.c'))
edit('tools/amalgamate.sh',('src/*.c src/lua/*.c)','src/*.c src/lua/*/*.c)'))
edit('tools/ports.sh',('src/*.c src/lua/*.c;','src/*.c src/lua/*/*.c;'))
edit('tools/api.sh',('cat src/lua/*.c','cat src/lua/*/*.c'))
edit('tests/stress/allocfail.lua',('src/lua/starve.c','src/lua/lib/starve.c'))
s=open('tools/check.sh').read()
s=s.replace('for place in src src/os src/lua; do',"for place in src src/os 'src/lua/*'; do").replace('[ $place != src/lua ]',"[ \"$place\" != 'src/lua/*' ]")
s=s.replace('src/*.c src/os/*.c src/lua/*.c','src/*.c src/os/*.c src/lua/*/*.c')
i=s.index('    cd "$root/src/lua" || exit 1')
seg=s[i:s.index('-o "$work/decode"',i)]
new=seg
for o,n in sorted(MOVE.items(),key=lambda x:-len(x[0])):
    new=re.sub(r'(?<=[ \n])'+re.escape(o)+r'(?=[ \n\\])',n,new)
if 'transfer/pack.c' in new: new=new.replace('transfer/pack.c','transfer/pack.c transfer/packer.c',1)
s=s.replace(seg,new)
open('tools/check.sh','w').write(s)
for d in ('tests/unit','tests/fuzz'):
    for f in os.listdir(d):
        p=d+'/'+f; t=open(p).read()
        t2=re.sub(r'src/lua/([\w]+\.h)',lambda m:'src/lua/'+MOVE.get(m.group(1),m.group(1)),t)
        if t2!=t: open(p,'w').write(t2)
# layers
s=open('tools/lint.sh').read()
i=s.index('  lua/compat lua/'); j=s.index("'\n",i)
s=s[:i]+'''  lua/compat/* lua/state/* lua/transfer/* lua/stop/* lua/task/*
  lua/session/* lua/lib/* lua/api/*
'''+s[j:]
s=s.replace('/lua\\/(argument|builtin','/lua\\/[a-z]+\\/(argument|builtin').replace('in lua/argument.h','in lua/state/argument.h').replace('lua/argument.h names','lua/state/argument.h names')
s=s.replace('''  if (module ~ /^lua\\// && ("lua/*" in rank)) return rank["lua/*"]
  return -1''','''  room = module
  sub(/\\/[^\\/]*$/, "/*", room)
  return room in rank ? rank[room] : -1''').replace('function rank_of(module, extension) {','function rank_of(module, extension,    room) {')
open('tools/lint.sh','w').write(s)
sh('sh','tools/rockspec.sh')
files=sh('sh','-c','find src/lua -name "*.[ch]" ! -name embedded.c').split()
sh('clang-format','-i','--style=file',*files)
sh('git','add','-A')
