/** Dockerfiles whose results must be the same from dockerd's classic builder and from ours. */
export const cases: Readonly<Record<string, string>> = {
  'the articles': 'FROM busybox\nADD run.sh /\nVOLUME /data\nCMD ["./run.sh"]\n',
  'where COPY puts files': `FROM busybox
COPY a.txt /new/name
COPY a.txt b.txt /d/
COPY src /tree
COPY src/ /tree2/
COPY *.txt /many/
COPY . /all
COPY ["my file","/sp ace/"]
COPY a.txt b
COPY src/../a.txt /q/../r
WORKDIR /w/x
COPY a.txt .
COPY b.txt ./
COPY src .
`,
  'COPY onto links of the image': `FROM busybox
RUN mkdir /real && ln -s /real /lnk && ln -s real /rel && ln -s nowhere /broken && ln -s /real/file /flink
COPY a.txt /lnk
COPY b.txt /lnk/
COPY src /rel
COPY a.txt /lnk/deep/er/f
COPY a.txt /flink
COPY b.txt /broken
`,
  'COPY from links of the context':
    'FROM busybox\nCOPY ln-file /x1\nCOPY ln-dir /x2\nCOPY ln-dir/x /x3\nCOPY holder /x4\n',
  'COPY over what is there': `FROM busybox
RUN mkdir -p /o/sub /d /f2 && echo old > /o/x && echo keep > /o/sub/keep && chmod 700 /o /o/sub && touch /f
COPY src /o
COPY a.txt /d
COPY src /f2
`,
  'ADD of archives': `FROM busybox
ADD t.tar /t1
ADD t.tgz /t2/
ADD t.tgz t.tar /t3/
COPY t.tar /t4
ADD a.gz /t5/
`,
  'ENTRYPOINT drops an inherited CMD': 'FROM busybox\nENTRYPOINT ["e"]\n',
  'ENTRYPOINT keeps its own CMD': 'FROM busybox\nCMD ["c"]\nENTRYPOINT ["e"]\n',
  'the configuration': `FROM busybox
MAINTAINER me <m@e>
ENV A=1 B="two words" C=$BASE
ENV old style value
LABEL x="a b" y=$A
LABEL z\\ q=1
EXPOSE 80 443/tcp 53/udp 8000-8002
VOLUME /v1 /v2
VOLUME ["/v3"]
USER 1000:1000
STOPSIGNAL SIGINT
ONBUILD RUN echo onb
SHELL ["/bin/sh","-ec"]
ENTRYPOINT echo hi
CMD foo bar
ARG Q=1
ARG R
`,
  arguments: `ARG V=busybox
FROM $V
ARG X=def
ARG Y
ENV Z=\${X}-\${Y:-unset}
RUN echo "$X $Y $Z" > /args
`,
  'several stages': `FROM busybox AS one
RUN echo 1 > /one
FROM busybox AS two
COPY --from=one /one /got
COPY --from=0 /one /got0
FROM one
COPY --from=two /got /final
RUN ls / > /ls
`,
  'working folders': `FROM busybox
WORKDIR /a
WORKDIR b
ENV D=/c
WORKDIR $D/d
RUN pwd > pwd
WORKDIR /
WORKDIR ../..
`,
  quoting: `FROM busybox
ENV a="x\\"y" b='q"r' c=d\\ e f=$BASE$BASE g=\${BASE:+yes}\${NO:-no}
LABEL "a b"="c d" e='f $BASE' g="h $BASE"
`,
  'another escape': '# escape=`\nFROM busybox\nRUN echo a `\n && echo b > /x\nENV p=c:\\a\n',
  'a command that does not exist': 'FROM busybox\nRUN nosuchcmd\n',
  'a command that fails': 'FROM busybox\nRUN echo out; exit 7\n',
  'nothing at all': 'FROM scratch\n',
  'a file that is missing': 'FROM busybox\nCOPY nosuch /x\n',
  'a pattern that finds nothing': 'FROM busybox\nCOPY nosuch* /x/\n',
  'a file outside of the context': 'FROM busybox\nCOPY ../x /x\n',
  'several files to one': 'FROM busybox\nCOPY a.txt b.txt /x\n',
  'an owner that does not exist': 'FROM busybox\nCOPY --chown=nosuch a.txt /x\n',
  'a signal that does not exist': 'FROM busybox\nSTOPSIGNAL SIGFOO\n',
  'a variable that must be given': 'FROM busybox\nENV a=${x:?err}\n',
};
